# What the shell tests share: . "$SOURCE_DIR/tests/cli/support_check.sh". A test goes on after a failure and ends with `exit $failed`.
failed=0

# check LABEL WANT GOT
check() {
    [ "$2" = "$3" ] && return
    printf 'FAILED %s\n  want: %s\n  got:  %s\n' "$1" "$2" "$3"
    failed=1
}

# refuse_data LABEL PART ARGUMENTS...: `your_ai data ARGUMENTS` ends with code 2 and a last line on stderr with PART in it
refuse_data() {
    local label=$1 part=$2 code=0
    shift 2
    "$YOUR_AI" data "$@" >refused.out 2>refused.err </dev/null || code=$?
    check "$label: exit code" 2 "$code"
    tail -1 refused.err | grep -qF -- "$part" || check "$label: message" "...$part..." "$(cat refused.err)"
}
