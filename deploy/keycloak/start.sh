#!/bin/bash
# Keycloak takes secrets from its environment: they are read from files here, and stand in no compose file.
set -euo pipefail
KC_DB_PASSWORD=$(</run/secrets/keycloak_database_password)
KC_BOOTSTRAP_ADMIN_PASSWORD=$(</run/secrets/keycloak_admin_password)
CONNECT_CARE_STAFF_PASSWORD=$(</run/secrets/staff_password)
export KC_DB_PASSWORD KC_BOOTSTRAP_ADMIN_PASSWORD CONNECT_CARE_STAFF_PASSWORD
exec /opt/keycloak/bin/kc.sh start --optimized --import-realm "$@"
