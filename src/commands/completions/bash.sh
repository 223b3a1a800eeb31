# bash completion of gatefold. Put this into ~/.bashrc:  source <(gatefold completions bash)
#
# The words of the line are handed to gatefold, which knows its flags and the names of the project. Bash breaks words at ':'
# and '=', and expects only what stands behind the break: here the words are put together again, and what stands before
# the break is cut off the answers.
_gatefold() {
    local IFS=$'\013' i last word prefix
    local -a words=("${COMP_WORDS[0]}")
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        # Without its opening quote.
        if ((i == COMP_CWORD)) && [[ $word != [:=] && ${BASH_VERSINFO[0]} -ge 4 ]]; then word=$2; fi
        last=$((${#words[@]} - 1))
        if [[ ${COMP_WORDS[i]} == [:=] || ${COMP_WORDS[i - 1]} == [:=] ]]; then
            words[last]+=$word
        else
            words+=("$word")
        fi
    done
    last=$((${#words[@]} - 1))
    prefix=${words[last]%"$2"}
    COMPREPLY=($(_CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX="$last" @VARIABLE@=bash @COMPLETER@ -- "${words[@]}" 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    # A folder, a flag that wants its value, or the beginning of a selector goes on.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:/] ]]; then compopt -o nospace 2>/dev/null; fi
}
if [[ ${BASH_VERSINFO[0]} -gt 4 || ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4 ]]; then
    complete -o bashdefault -o nosort -F _gatefold gatefold
else
    complete -o bashdefault -F _gatefold gatefold
fi
