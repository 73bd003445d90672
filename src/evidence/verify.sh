#!/bin/sh
# Verifies the evidence of one run, offline, by sha256sum, ssh-keygen (OpenSSH 9.1 or newer) and a POSIX shell.
#
#   sh verify.sh [-p PLAN] [-e HEAD] [-s ALLOWED_SIGNERS] DIRECTORY
#
# PLAN is the digest of the plan that was approved, HEAD the hash of the journal's last row, ALLOWED_SIGNERS a file with
# the keys of the people: each from another source than this bundle. A value that is not passed is not compared.
set -eu
LC_ALL=C
export LC_ALL

fail() {
  printf 'verify: %s\n' "$*" >&2
  exit 1
}
sum() { sha256sum | cut -c 1-64; }
nl='
'

known_plan='' known_head='' known_signers=''
while getopts p:e:s: option; do
  case $option in
    p) known_plan=$OPTARG ;;
    e) known_head=$OPTARG ;;
    s) known_signers=$(cd "$(dirname "$OPTARG")" && pwd)/$(basename "$OPTARG") ;;
    *) fail 'usage: sh verify.sh [-p PLAN] [-e HEAD] [-s ALLOWED_SIGNERS] DIRECTORY' ;;
  esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || fail 'usage: sh verify.sh [-p PLAN] [-e HEAD] [-s ALLOWED_SIGNERS] DIRECTORY'
cd "$1"
for tool in sha256sum ssh-keygen; do
  command -v "$tool" >/dev/null || fail "there is no $tool here"
done

# The files: those of the list, unchanged, and no others.
[ -f SHA256SUMS ] || fail 'SHA256SUMS is missing'
odd=$(grep -v '^[0-9a-f]\{64\}  \./[A-Za-z0-9_][A-Za-z0-9_./-]*$' SHA256SUMS || true)
[ -z "$odd" ] && ! grep -q '\.\.' SHA256SUMS || fail 'SHA256SUMS: a line of it is not one of sha256sum'
odd=$(find . ! -type d ! -type f)
[ -z "$odd" ] || fail "$odd: not a file"
odd=$( (cut -c 67- SHA256SUMS; find . -type f ! -path ./SHA256SUMS) | sort | uniq -u)
[ -z "$odd" ] || fail "$odd: missing, or not in SHA256SUMS"
odd=$(sha256sum -c SHA256SUMS 2>&1 | grep -v ': OK$' || true)
[ -z "$odd" ] || fail "$odd"
for file in plan.json run.intoto.json journal/chain; do
  [ -f "$file" ] || fail "$file: missing"
done

# The plan.
plan=$(sum <plan.json)
[ "$plan" = "${known_plan:-$plan}" ] || fail "plan.json: this is plan $plan, and not $known_plan"

# The journal. Its chain begins with the plan, and each row is hashed with all the rows before it.
head=$(printf 'phasegate/journal/1 %s' "$plan" | sum)
[ "$(sed -n 1p journal/chain)" = "$head" ] || fail 'journal/chain: it does not begin with this plan'
rows=0
while row=journal/$(printf %04d $((rows + 1))).json && [ -f "$row" ]; do
  rows=$((rows + 1))
  head=$(printf '%s %s' "$head" "$(sum <"$row")" | sum)
  [ "$(sed -n $((rows + 1))p journal/chain)" = "$head" ] || fail "$row: it does not make the hash that journal/chain has"
  grep -qF "\"plan\": \"$plan\"" "$row" && grep -qF "\"place\": $rows," "$row" || fail "$row: it is of another plan or place"
done
[ $(($(find journal -name '*.json' | wc -l))) -eq "$rows" ] || fail "$row: missing"
[ $(($(wc -l <journal/chain))) -eq $((rows + 1)) ] || fail "$row: missing; journal/chain has its hash"
[ "$head" = "${known_head:-$head}" ] || fail "journal: it ends with $head, and not with $known_head"
grep -qF "\"$plan\"" run.intoto.json && grep -qF "\"journalHead\": \"$head\"" run.intoto.json ||
  fail 'run.intoto.json: it is of another run'

# The digests that a row has of the files in the directory $1, by which the approval was verified.
digests_of() {
  revoked=null all='' between=''
  [ -f "$1/01.statement.json" ] || fail "$1/01.statement.json: missing"
  [ ! -f "$1/revoked_keys" ] || revoked="\"$(sum <"$1/revoked_keys")\""
  for statement in "$1"/*.statement.json; do
    for file in "$statement" "$statement.sig" "${statement%.statement.json}.approver" "$1/policy.json" "$1/allowed_signers"; do
      [ -f "$file" ] || fail "$file: missing"
    done
    all="$all$between{\"approver_sha256\": \"$(sum <"${statement%.statement.json}.approver")\", "
    all="$all\"signature_sha256\": \"$(sum <"$statement.sig")\", \"statement_sha256\": \"$(sum <"$statement")\"}"
    between=', '
  done
  printf '{"statements": [%s], "policy_sha256": "%s", "revoked_keys_sha256": %s, "allowed_signers_sha256": "%s"}' \
    "$all" "$(sum <"$1/policy.json")" "$revoked" "$(sum <"$1/allowed_signers")"
}

# The statements in the directory $1: signed, valid at the moment $2, each of this plan and of the decision $3, and of the
# gate $4, if one is given; approvals by enough of the people whom the policy names, by their names in allowed_signers.
signed() {
  dir=$1 at=$2 decision=$3 wanted=$4 revoked='' people='' needs=0
  for file in policy.json allowed_signers 01.statement.json; do
    [ -f "$dir/$file" ] || fail "$dir/$file: missing"
  done
  [ ! -f "$dir/revoked_keys" ] || revoked=$dir/revoked_keys
  for statement in "$dir"/*.statement.json; do
    approver=$(cat "${statement%.statement.json}.approver")
    grep -qF ",\"decision\":\"$decision\"," "$statement" || fail "$statement: its decision is not to $decision"
    grep -qF ",\"plan\":\"$plan\"," "$statement" || fail "$statement: it is of another plan"
    gate=$(sed -n 's/^.*,"gate":\(".*"\),"nonce":.*$/\1/p' "$statement")
    [ -n "$gate" ] && [ "$gate" = "${wanted:-$gate}" ] || fail "$statement: it is of gate $gate, and not of $wanted"
    said=$(ssh-keygen -Y verify -n phasegate -I "$approver" -O "verify-time=$at" -f "${known_signers:-$dir/allowed_signers}" \
      ${revoked:+-r "$revoked"} -s "$statement.sig" <"$statement" 2>&1) || fail "$statement.sig: $said"
    printf '%s: gate %s: %s by %s\n' "$dir" "$gate" "$decision" "$approver" | tr -d '\001-\011\013-\037\177'
    [ "$decision" = approve ] || continue
    # "SG_1":{"approvers":["ada","bob"],"author_may_approve":false,..,"needs":2,..}
    policy=$(cat "$dir/policy.json")
    rule=${policy#*"$gate:{\"approvers\":["}
    [ "$rule" != "$policy" ] || fail "$dir/policy.json: it has no gate $gate"
    name="\"$(printf %s "$approver" | sed 's/[\\"]/\\&/g')\""
    case ",${rule%%'],"author_may_approve"'*}," in
      *",$name,"*) ;;
      *) fail "$statement: $dir/policy.json does not let $name approve gate $gate" ;;
    esac
    needs=${rule#*'"needs":'}
    needs=${needs%%[!0-9]*}
    people="$people$name$nl"
  done
  [ "$(printf %s "$people" | sort -u | grep -c . || true)" -ge "${needs:-1}" ] || fail "$dir: gate $gate needs the approval of $needs people"
}

# The approvals: for each that a row has spent, the files by which it was verified.
known='' used=''
for directory in approvals/*; do
  [ -d "$directory" ] || continue
  known="$known$directory $(digests_of "$directory")$nl"
done
for row in journal/*.json; do
  [ -f "$row" ] || continue
  opened=$(sed -n 's/^.*"opened_at": "\(....\)-\(..\)-\(..\)T\(..\):\(..\):\(..\)[.0-9]*+00:00".*$/\1\2\3\4\5\6Z/p' "$row")
  approvals=$(sed 's/{"gate": /\
&/g' "$row" | sed -n -e 's/^{"gate": \(".*", "nonce": ".*"digests": {"statements": [^]]*\], [^}]*}\).*$/\1/p' \
    -e 's/^{"gate": \(".*", "nonce": ".*"digests": null\).*$/\1/p')
  [ "$(sed 's/{"gate": /\
&/g' "$row" | grep -c '^{"gate": ')" -eq "$(printf '%s' "$approvals" | grep -c .)" ] || fail "$row: its approvals cannot be read"
  while IFS= read -r approval; do
    [ -n "$approval" ] || continue
    gate=${approval%%', "nonce": '*}
    digests=${approval##*'"digests": '}
    [ "$digests" != null ] || fail "$row: the approval of gate $gate that it spent is not signed"
    directory=$(printf '%s' "$known" | grep -F " $digests" | sed -n '1s/ .*//p')
    [ -n "$directory" ] || fail "$row: the files of the approval of gate $gate that it spent are not in approvals/, or are not those that were judged"
    printf '%s: ' "$row"
    signed "$directory" "$opened" approve "$gate"
    used="$used$digests$nl"
  done <<END
$approvals
END
done
while IFS= read -r line; do
  [ -z "$line" ] || printf '%s' "$used" | grep -qxF "${line#* }" || fail "${line%% *}: no row of the journal has spent it"
done <<END
$known
END

# Approvals and rejections that are not in the journal. Only the database records when they were admitted.
for directory in unspent/* rejections/*; do
  [ -d "$directory" ] || continue
  decision=approve
  case $directory in rejections/*) decision=reject ;; esac
  [ -f "$directory/01.statement.json" ] || fail "$directory: it is not signed"
  signed "$directory" "$(cat "$directory/admitted_at")" "$decision" ''
done

# The inputs that are here: each is the one that the plan names for the phase of its number.
planned=$(sed 's/{"after":\[/\
&/g' plan.json | grep '^{"after":\[')
for file in inputs/*.json; do
  [ -f "$file" ] || continue
  place=${file#inputs/}
  place=$(printf '%s' "${place%%-*}" | sed 's/^0*//')
  printf '%s\n' "$planned" | sed -n "${place:-0}p" | grep -qF ",\"input\":\"$(sum <"$file")\"," || fail "$file: it is not the input that the plan names"
done

phases=$(printf '%s\n' "$planned" | grep -c .)
[ "$rows" -le "$phases" ] || fail "journal: it has $rows rows, and the plan $phases phases"
[ "$rows" -eq "$phases" ] || printf 'the run stopped: %s of %s phases are committed\n' "$rows" "$phases"
[ -n "$known_plan" ] || printf 'not compared: the plan is %s\n' "$plan"
[ -n "$known_head" ] || printf 'not compared: the journal ends with %s\n' "$head"
[ -n "$known_signers" ] || printf 'not compared: whose the keys in allowed_signers are\n'
printf 'the evidence is consistent\n'
