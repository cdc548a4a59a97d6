#!/bin/bash
# At the first start only: Keycloak gets a role and a database of its own, and can't see the gateway's.
set -euo pipefail
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
  --set=password="$(</run/secrets/keycloak_database_password)" <<'SQL'
CREATE ROLE keycloak LOGIN PASSWORD :'password';
CREATE DATABASE keycloak OWNER keycloak;
REVOKE ALL ON DATABASE keycloak FROM PUBLIC;
REVOKE ALL ON DATABASE connect_care FROM PUBLIC;
SQL
