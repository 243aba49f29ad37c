#!/bin/sh
# Installs platctl from a release: downloads the archive of this machine's architecture, verifies its SHA-256 against
# the release's own list, puts the one executable in its place. Nothing runs before the last line is read, so that
# half a download does nothing.
set -u

releases=https://github.com/platctl/platctl/releases
sums=SHA256SUMS

usage() {
    cat <<'USAGE'
Installs platctl.

usage: install.sh [OPTIONS]

  --version VERSION   the release, such as 0.1.0 [default: the latest]
  --prefix DIR        the executable goes to DIR/bin [default: ~/.local; /usr/local for root]
  --bin-dir DIR       the executable goes to DIR
  --arch ARCH         x86_64 or aarch64 [default: this machine's]
  --from DIR|URL      where archive and SHA256SUMS are, instead of the project's releases
  -h, --help          this text
USAGE
}

say() { printf '%s\n' "$*" >&2; }

# fail MESSAGE [HINT]
fail() {
    say "error: $1"
    if [ $# -gt 1 ]; then
        say "hint: $2"
    fi
    exit 1
}

misused() {
    say "error: $1"
    say "hint: \`install.sh --help\` lists the options"
    exit 2
}

has() { command -v "$1" >/dev/null 2>&1; }

need() {
    for tool in "$@"; do
        has "$tool" || fail "\`$tool\` is not installed" "install it with your system's package manager, then run this again"
    done
}

parse() {
    version=latest prefix='' bin_dir='' arch='' from=''
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --version=* | --prefix=* | --bin-dir=* | --arch=* | --from=*)
            option=${1%%=*} value=${1#*=}
            shift
            ;;
        --version | --prefix | --bin-dir | --arch | --from)
            [ $# -gt 1 ] || misused "\`$1\` needs a value"
            option=$1 value=$2
            shift 2
            ;;
        *) misused "unknown argument \`$1\`" ;;
        esac
        [ -n "$value" ] || misused "\`$option\` needs a value"
        case $option in
        --version) version=${value#v} ;;
        --prefix) prefix=$value ;;
        --bin-dir) bin_dir=$value ;;
        --arch) arch=$value ;;
        --from) from=$value ;;
        esac
    done
    case $version in
    *[!0-9A-Za-z.+-]*) misused "\`$version\` is not a version" ;;
    esac
}

# Sets $target, what the archive is named after.
detect() {
    system=$(uname -s)
    [ "$system" = Linux ] ||
        fail "there is no platctl for $system, only for Linux" "on macOS or Windows run it in a Linux container or virtual machine"
    machine=$(uname -m)
    case ${arch:-$machine} in
    x86_64 | amd64) target=x86_64-unknown-linux-musl ;;
    aarch64 | arm64) target=aarch64-unknown-linux-musl ;;
    *)
        fail "there is no platctl for the architecture \`${arch:-$machine}\`, only for x86_64 and aarch64" \
            "build it from source: \`cargo build --release\` in a clone of the repository"
        ;;
    esac
}

# Sets $bin_dir.
choose_bin_dir() {
    [ -z "$bin_dir" ] || return 0
    if [ -z "$prefix" ]; then
        if [ "$(id -u)" = 0 ]; then
            prefix=/usr/local
        else
            [ -n "${HOME:-}" ] || fail "HOME is not set" "say where to install with \`--prefix DIR\`"
            prefix=$HOME/.local
        fi
    fi
    bin_dir=$prefix/bin
}

# Sets $base, where archive and checksums are.
choose_base() {
    protocols='=https'
    if [ -n "$from" ]; then
        base=${from%/}
        protocols='=http,https' # a mirror in one's own network; the checksum still holds
    elif [ "$version" = latest ]; then
        base=$releases/latest/download
    else
        base=$releases/download/v$version
    fi
}

# fetch NAME: from $base into the working folder.
fetch() {
    case $base in
    http://* | https://*) download "$base/$1" "$work/$1" ;;
    *)
        local_file=${base#file://}/$1
        [ -f "$local_file" ] || fail "there is no file $local_file" "\`--from\` takes the folder that holds $archive and $sums"
        cp "$local_file" "$work/$1" || fail "$local_file could not be read"
        ;;
    esac
}

download() {
    if has curl; then
        curl --proto "$protocols" --proto-redir "$protocols" --tlsv1.2 --fail --silent --show-error --location \
            --retry 3 --connect-timeout 20 --output "$2" "$1"
    elif has wget; then
        wget -q -O "$2" "$1"
    else
        fail "neither \`curl\` nor \`wget\` is installed" "install one of them, or download the files and use \`--from DIR\`"
    fi
    status=$?
    [ "$status" -ne 0 ] || return 0
    # 22 of curl and 8 of wget: the server answered, but not with the file.
    case $status in
    22 | 8) fail "$1 is not there" "see $releases for the versions there are; \`--version\` chooses one" ;;
    *) fail "$1 could not be downloaded" "check the connection and the proxy settings, or download the files elsewhere and use \`--from DIR\`" ;;
    esac
}

verify() {
    wanted=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print tolower($1); exit }' "$work/$sums")
    [ -n "$wanted" ] || fail "$base/$sums has no line for $archive" "the release may have no build for this architecture"
    if has sha256sum; then
        actual=$(sha256sum <"$work/$archive")
    else
        actual=$(shasum -a 256 <"$work/$archive")
    fi
    actual=${actual%% *}
    [ "$actual" = "$wanted" ] ||
        fail "$archive has the SHA-256 $actual, $sums says $wanted; nothing was installed" \
            "the download is damaged or was tampered with: run this again, and if it stays so, report it"
}

# Sets $found, what the new executable says of itself.
place() {
    tar -xzf "$work/$archive" -C "$work" platctl 2>/dev/null || fail "$archive does not hold \`platctl\`" "report it: the release is broken"
    hint="choose another folder with \`--bin-dir DIR\`, or run this as a user who may write there"
    mkdir -p "$bin_dir" 2>/dev/null || fail "the folder $bin_dir could not be made" "$hint"
    # Beside its place first, so that the last step is one rename: never half an executable, even over a running one.
    staged=$bin_dir/.platctl.$$
    { cp "$work/platctl" "$staged" && chmod 755 "$staged"; } 2>/dev/null || fail "$bin_dir could not be written to" "$hint"
    found=platctl
    # One that was asked for with `--arch` may be for another machine.
    if [ "${target%%-*}" = "$machine" ]; then
        found=$("$staged" version 2>/dev/null) ||
            fail "the executable does not run on this machine" "is $bin_dir mounted \`noexec\`? Otherwise report it"
    fi
    mv -f "$staged" "$bin_dir/platctl" 2>/dev/null || fail "$bin_dir/platctl could not be replaced" "$hint"
}

tell() {
    say "installed: $found in $bin_dir/platctl"
    case :${PATH:-}: in
    *:"$bin_dir":*) say "next: platctl --help" ;;
    *)
        say "hint: $bin_dir is not in PATH; for this shell: export PATH=\"$bin_dir:\$PATH\""
        say "next: $bin_dir/platctl --help"
        ;;
    esac
}

# shellcheck disable=SC2317,SC2329  # the trap calls it
tidy() {
    [ -z "$work" ] || rm -rf "$work"
    [ -z "$staged" ] || rm -f "$staged"
}

main() {
    parse "$@"
    need uname id tar gzip awk mktemp
    has sha256sum || has shasum || fail "neither \`sha256sum\` nor \`shasum\` is installed" "install one of them: nothing unverified is installed"
    detect
    choose_bin_dir
    choose_base
    archive=platctl-$target.tar.gz

    work='' staged=''
    trap tidy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    work=$(mktemp -d) || fail "no temporary folder could be made" "is there space in ${TMPDIR:-/tmp}?"
    say "fetching $archive from $base"
    fetch "$sums"
    fetch "$archive"
    verify
    place
    tell
}

{
    main "$@"
    exit
}
