#!/bin/sh
# Writes .env for docker compose: passwords and keys made on this machine, readable by you alone. Run again, it keeps every value there
# is and adds what is missing, which is what a newer docker-compose.yml asks for.
#   scripts/make-env.sh [FILE]
set -eu
cd "$(dirname "$0")/.."
file="${1:-.env}"
new="$file.new"
added=""

letters() { head -c 1024 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9' | cut -c "1-$1"; }
has() { grep -Eq "^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*[=:]$2" "$new"; }
add() {
    echo "$1=$2" >>"$new"
    added="$added $1"
}
made() { # NAME VALUE: where there is none, or an empty one
    has "$1" '[[:space:]]*[^[:space:]]' || add "$1" "$2"
}
setting() { # NAME VALUE COMMENT: a line for you to fill in, if you like
    if ! has "$1" ''; then
        printf '\n# %s\n' "$3" >>"$new"
        add "$1" "$2"
    fi
}
group_of_docker() { stat -L -c %g "${DOCKER_SOCKET:-/var/run/docker.sock}" 2>/dev/null || getent group docker | cut -d: -f3; }

umask 077
trap 'rm -f "$new"' EXIT
if [ -e "$file" ]; then
    cat "$file" >"$new"
    [ -z "$(tail -c 1 "$new")" ] || echo >>"$new"
    before="everything else stays as it is"
else
    echo "# Made by scripts/make-env.sh. Keep a copy: without ENCRYPTION_KEY nobody can read the platform's secrets." >"$new"
    before=""
fi

for name in POSTGRES API_DB API_WEB_DB PROVISIONER_DB PROVISIONER_WEB_DB MONITOR_DB MONITOR_WEB_DB BILLING_DB BILLING_WEB_DB; do
    made "${name}_PASSWORD" "$(letters 40)"
done
made GRAFANA_PASSWORD "$(letters 20)"
made CLAWDEPLOY_METRICS_TOKEN "$(letters 40)"
made CLAWDEPLOY_INTERNAL_SECRET "$(letters 48)"
made CLAWDEPLOY_BOOTSTRAP_API_KEY "claw_$(letters 43)"
made ENCRYPTION_KEY "$(head -c 32 /dev/urandom | base64)"
made CLAWDEPLOY_PLATFORM_ID "compose-$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \n')"
group="$(group_of_docker || true)"
[ -z "$group" ] || made DOCKER_GID "$group"

setting OPENROUTER_MANAGEMENT_KEY "" "OpenRouter's management key: it mints each agent's own key."
setting CLAWDEPLOY_PUBLIC_URL http://127.0.0.1:8787 "Where people, and agents on other machines, reach the gateway."
setting GATEWAY_HOST 127.0.0.1 "0.0.0.0 opens the gateway to the network: put TLS in front."

[ -n "$group" ] || echo "There is no Docker engine here yet: install one (scripts/install-docker.sh), then run this again." >&2
if [ -z "$added" ]; then
    echo "$file has everything already; it stays as it is."
    exit
fi
mv "$new" "$file"
if [ -n "$before" ]; then
    echo "$file: added$added; $before."
else
    echo "$file is made. Put your OPENROUTER_MANAGEMENT_KEY into it, then: docker compose up -d --build --wait"
fi
