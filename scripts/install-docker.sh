#!/usr/bin/env bash
# Installs a Docker engine on Debian or Ubuntu, as root; safe to run again. From Docker's own apt repository, or, where that cannot be
# reached, the distribution's docker.io, which is said. Starts it, adds the calling user to the group docker, and proves that a
# container runs. An engine it installs is set to live-restore (docs.docker.com/engine/daemon/live-restore): containers outlive its
# crashes and updates.
#   install-docker.sh [USER]     USER is who shall use it (SUDO_USER, when called through sudo)
set -euo pipefail

user="${1:-${SUDO_USER:-}}"
export DEBIAN_FRONTEND=noninteractive
say() { echo "==> $*"; }
fail() {
    echo "install-docker: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "run it as root (sudo $0)"
command -v apt-get >/dev/null || fail "this is for Debian and Ubuntu; elsewhere see https://docs.docker.com/engine/install/"
if [ -n "$user" ] && ! id "$user" >/dev/null 2>&1; then
    fail "there is no user $user"
fi

install_official() {
    # shellcheck source=/dev/null
    . /etc/os-release
    local key=/etc/apt/keyrings/docker.asc list=/etc/apt/sources.list.d/docker.list site="https://download.docker.com/linux/$ID"
    apt-get install -y -qq --no-install-recommends ca-certificates curl >/dev/null
    install -m 0755 -d /etc/apt/keyrings
    if ! curl -fsS --connect-timeout 10 --max-time 60 "$site/gpg" -o "$key.new"; then
        rm -f "$key.new"
        return 1
    fi
    chmod 0644 "$key.new"
    mv "$key.new" "$key"
    echo "deb [arch=$(dpkg --print-architecture) signed-by=$key] $site ${UBUNTU_CODENAME:-$VERSION_CODENAME} stable" >"$list"
    if apt-get update -qq && apt-get install -y -qq docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin; then
        return 0
    fi
    rm -f "$list"
    return 1
}

install_distribution() {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends docker.io iptables
    command -v docker >/dev/null || apt-get install -y -qq --no-install-recommends docker-cli
}

keep_containers() { # whoever has settings of their own keeps those
    local settings=/etc/docker/daemon.json
    if [ -e "$settings" ]; then
        say "$settings is left as it is; with \"live-restore\": true in it, agents outlive a crash of the engine"
        return
    fi
    install -m 0755 -d /etc/docker
    echo '{"live-restore": true}' >"$settings"
    if answers; then # the package started it: this setting is read again on SIGHUP
        kill -HUP "$(cat /run/docker.pid)"
    fi
}

answers() { docker version -f '{{.Server.Version}}' >/dev/null 2>&1; }

start_engine() {
    answers && return
    if [ -d /run/systemd/system ]; then
        systemctl enable --now docker
    elif ! service docker start; then
        fail "there is no systemd here and the service does not start: run dockerd yourself"
    fi
    for _ in $(seq 60); do
        answers && return
        sleep 1
    done
    fail "the engine was started and does not answer"
}

prove() { # with an image made of one file, so that no registry is needed
    local image=clawdeploy-install-proof answer
    folder="$(mktemp -d)"
    trap 'rm -rf "$folder"; docker image rm -f clawdeploy-install-proof >/dev/null 2>&1 || true' EXIT
    mkdir -p "$folder/bin"
    cp /bin/true "$folder/bin/true"
    ldd /bin/true | grep -o '/[^ ]*' | while read -r library; do install -D "$library" "$folder$library"; done
    tar -C "$folder" -c . | docker import - "$image" >/dev/null
    answer="$(docker run --rm --network none "$image" /bin/true && echo works)"
    [ "$answer" = works ] || fail "a container does not run"
}

if command -v dockerd >/dev/null && command -v docker >/dev/null; then
    say "Docker is installed already"
else
    apt-get update -qq || true
    if install_official; then
        say "installed Docker from its own apt repository"
    else
        say "Docker's own apt repository cannot be reached: installing the distribution's docker.io, which is older"
        install_distribution
    fi
    keep_containers
fi
start_engine
if [ -n "$user" ] && [ "$user" != root ]; then
    getent group docker >/dev/null || groupadd --system docker
    usermod -aG docker "$user"
    say "$user is in the group docker (from the next sign-in on)"
fi
prove
say "Docker $(docker version -f '{{.Server.Version}}') runs containers"
