#!/bin/bash
# Whether Keycloak takes requests: its image has neither curl nor wget.
exec 3<>/dev/tcp/127.0.0.1/9000 || exit 1
printf 'GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
IFS= read -r -d '' said <&3
[[ $said == *'"status": "UP"'* ]]
