#!/bin/sh
# Prints the path of a Go toolchain that builds this repository, and nothing
# else: the one on PATH when it is new enough; otherwise, on Debian and as root,
# a pinned toolchain that Debian's own (older) Go fetches as a module into the
# cache. Messages go to standard error.
#
#   GO := $(shell hack/go.sh)
set -eu

minimum=26            # of Go 1.x
pinned=go1.26.8
cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ecommerce-stack"

say() { echo "go.sh: $*" >&2; }

# new_enough PROGRAM: is it a Go of version 1.$minimum or later?
new_enough() {
	version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
	minor=$(echo "$version" | sed -n 's/^go1\.\([0-9][0-9]*\).*/\1/p')
	[ -n "$minor" ] && [ "$minor" -ge "$minimum" ]
}

for candidate in "$(command -v go || true)" /usr/local/go/bin/go; do
	if [ -n "$candidate" ] && [ -x "$candidate" ] && new_enough "$candidate"; then
		echo "$candidate"
		exit 0
	fi
done

case "$(uname -s)-$(uname -m)" in
Linux-x86_64) platform=linux-amd64 ;;
Linux-aarch64) platform=linux-arm64 ;;
*) say "Go 1.$minimum or later is needed: install it, then run this again"; exit 1 ;;
esac

toolchain="$cache/go/$pinned"
if new_enough "$toolchain/bin/go"; then
	echo "$toolchain/bin/go"
	exit 0
fi

if ! command -v go >/dev/null 2>&1; then
	if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
		say "Go 1.$minimum or later is needed: install it (on Debian, as root, this script does), then run this again"
		exit 1
	fi
	say "no Go here: installing Debian's golang-go to fetch $pinned with"
	apt-get install -y --no-install-recommends golang-go ca-certificates >&2 ||
		{ apt-get update >&2 && apt-get install -y --no-install-recommends golang-go ca-certificates >&2; }
fi

module="golang.org/toolchain@v0.0.1-$pinned.$platform"
say "fetching $module"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && echo 'module fetch' >go.mod && GOFLAGS=-modcacherw GOTOOLCHAIN=local GOMODCACHE="$work/mod" go mod download "$module" >&2)
source="$work/mod/$module"
[ -d "$source" ] || { say "$module could not be fetched: install Go 1.$minimum or later by hand"; exit 1; }

# Modules carry no execute bits.
chmod +x "$source"/bin/* "$source"/pkg/tool/*/*
mkdir -p "$cache/go"
rm -rf "$toolchain"
cp -R "$source" "$toolchain.new.$$"
mv "$toolchain.new.$$" "$toolchain"
new_enough "$toolchain/bin/go" || { say "$toolchain/bin/go does not run"; exit 1; }
echo "$toolchain/bin/go"
