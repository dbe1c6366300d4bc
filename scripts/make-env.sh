#!/bin/sh
# Writes .env for docker compose: passwords and keys made on this machine, readable by you alone. Never overwrites one.
#   scripts/make-env.sh [FILE]
set -eu
cd "$(dirname "$0")/.."
file="${1:-.env}"
if [ -e "$file" ]; then
    echo "$file is there already: its keys open this platform's secrets, so it stays as it is." >&2
    exit 1
fi
letters() { head -c 1024 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9' | cut -c "1-$1"; }

umask 077
{
    echo "# Made by scripts/make-env.sh. Keep a copy: without ENCRYPTION_KEY nobody can read the platform's secrets."
    for name in POSTGRES API_DB API_WEB_DB PROVISIONER_DB PROVISIONER_WEB_DB MONITOR_DB MONITOR_WEB_DB BILLING_DB BILLING_WEB_DB; do
        echo "${name}_PASSWORD=$(letters 40)"
    done
    echo "GRAFANA_PASSWORD=$(letters 20)"
    echo "CLAWDEPLOY_METRICS_TOKEN=$(letters 40)"
    echo "CLAWDEPLOY_INTERNAL_SECRET=$(letters 48)"
    echo "CLAWDEPLOY_BOOTSTRAP_API_KEY=claw_$(letters 43)"
    echo "ENCRYPTION_KEY=$(head -c 32 /dev/urandom | base64)"
    echo "DOCKER_GID=$(getent group docker | cut -d: -f3 || true)"
    echo
    echo "# The real OpenRouter's management key: it mints each agent's own key."
    echo "OPENROUTER_MANAGEMENT_KEY="
    echo "# Where people reach the gateway; GATEWAY_HOST=0.0.0.0 opens it to the network (put TLS in front)."
    echo "CLAWDEPLOY_PUBLIC_URL=http://127.0.0.1:8787"
    echo "GATEWAY_HOST=127.0.0.1"
} >"$file"
echo "$file is made. Next: docker compose up -d --build"
