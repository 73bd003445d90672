# Keeps one private PostgreSQL server, and ends it and its directory when the program that started
# it is gone.
#
# Arguments: DIRECTORY BIN_DIR [ARGUMENT_OF_POSTGRES ...]. DIRECTORY is created here, so that it
# never exists without a process that removes it; an account that may create it may also remove it.
#
# Commands come on standard input, a line each: VERB NUMBER. Its end, however the program ended,
# ends everything here. Results are files in DIRECTORY: `done` the number of the last command, `pid`
# the running or last child, `exited` its status once it has ended, `log` all output. Plain POSIX
# sh; a program in C would need a compiler, and PR_SET_PDEATHSIG needs `unsafe` and fires when the
# thread that started us ends.

umask 077
directory=$1 bin=$2 job=
shift 2
mkdir "$directory" && cd "$directory" || exit 91
exec >>log 2>&1

pause() { sleep 0.01 2>/dev/null || sleep 1; }

# Readers see the whole line or none.
put() { echo "$2" >"$1.new" && mv -f "$1.new" "$1"; }

# A process that has ended but is not yet collected by its parent does not count.
alive() {
    kill -0 "$1" 2>/dev/null || return 1
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    case ${stat##*") "} in [ZX]*) return 1 ;; esac
}

children() {
    if [ -r /proc/self/stat ]; then
        for process in /proc/[0-9]*; do
            { read -r stat <"$process/stat"; } 2>/dev/null || continue
            stat=${stat##*") "} stat=${stat#* }
            [ "${stat%% *}" != "$1" ] || echo "${process#/proc/}"
        done
    else
        ps -A -o pid= -o ppid= | awk -v parent="$1" '$2 == parent { print $1 }'
    fi
}

# The shell in between collects the child at once, so that `exited` tells its end.
launch() {
    rm -f exited pid
    {
        "$@" </dev/null &
        put pid $!
        wait $!
        put exited $?
    } &
    job=$!
    until [ -s pid ]; do pause; done
}

running() { [ -s pid ] && [ ! -e exited ] && alive "$(cat pid)"; }

signal() { kill -s "$1" "$(cat pid)" 2>/dev/null; }

# Repeated: a shell makes its background children ignore INT and QUIT until they set a handler.
ended_by() {
    polls=$2
    while running; do
        [ "$polls" -gt 0 ] || return 1
        polls=$((polls - 1))
        signal "$1"
        pause
    done
}

# Stopped first, so that no child is born between the listing and the end.
kill_family() {
    running || return 0
    signal STOP
    family=$(children "$(cat pid)")
    # shellcheck disable=SC2086 # a list of numbers
    kill -s KILL "$(cat pid)" $family 2>/dev/null
    polls=500
    for member in $(cat pid) $family; do
        while alive "$member" && [ "$polls" -gt 0 ]; do
            polls=$((polls - 1))
            pause
        done
    done
}

# A fast shutdown ends sessions; an immediate one makes the server kill its children after 5 s by
# itself.
halt() {
    running || return 0
    case $1 in fast) ended_by INT 1000 && return ;; esac
    case $1 in fast | immediate) ended_by QUIT 800 && return ;; esac
    kill_family
}

# The status of the one before must not be taken for that of the next.
settle() {
    [ -z "$job" ] || wait "$job"
    job=
}

finish() {
    trap '' HUP INT TERM
    halt fast
    # A server that was killed leaves its piece of System V shared memory; its number is in line 7.
    segment=$(sed -n '7s/.* //p' data/postmaster.pid 2>/dev/null)
    [ -z "$segment" ] || ipcrm -m "$segment" 2>/dev/null
    cd /
    tries=200
    until rm -rf "$directory" 2>/dev/null || [ "$tries" -eq 0 ]; do
        tries=$((tries - 1))
        pause
    done
    exit 0
}

trap finish HUP INT TERM
while read -r verb number; do
    case $verb in
    ready) ;;
    initdb)
        launch "$bin/initdb" -D "$directory/data" -U postgres -A trust \
            -E UTF8 --locale=C --no-sync >/dev/null
        ;;
    start) running || { settle && launch "$bin/postgres" -D "$directory/data" "$@"; } ;;
    fast | immediate | kill) halt "$verb"; settle ;;
    esac
    put "done" "$number"
done
finish
