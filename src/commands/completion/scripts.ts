import type { SHELLS } from '../../command-table.ts';

/** The line with which `__complete` asks the shell for file names. */
export const FILES = ':files';

/**
 * Each script passes the words up to the cursor to `__complete`, which prints one candidate a line:
 * the word, a tab and its description.
 */
export const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], string>> = {
  // COMP_LINE, because bash splits COMP_WORDS at = and : as well.
  bash: `# eval "$(mcp-sigv4-proxy completion bash)"
_mcp_sigv4_proxy() {
  local before="\${COMP_LINE:0:COMP_POINT}" cur="\${COMP_WORDS[COMP_CWORD]}" words last line
  read -ra words <<< "$before"
  case "$before" in *[[:space:]]) words+=("") ;; esac
  last="\${words[\${#words[@]}-1]}"
  [[ "$last" == *"$cur" ]] || cur="$last"
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = "${FILES}" ]; then
      compopt -o default 2>/dev/null
    else
      line="\${line%%$'\\t'*}"
      COMPREPLY+=("\${line#"\${last%"$cur"}"}")
      case "$line" in *=) compopt -o nospace 2>/dev/null ;; esac
    fi
  done < <("\${words[0]}" __complete "\${words[@]:1}" 2>/dev/null)
}
complete -F _mcp_sigv4_proxy mcp-sigv4-proxy
`,
  zsh: `#compdef mcp-sigv4-proxy
# source <(mcp-sigv4-proxy completion zsh)
_mcp_sigv4_proxy() {
  local -a candidates
  local line
  for line in "\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case "$line" in
      ${FILES}) _files ;;
      '') ;;
      *) candidates+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
    esac
  done
  (( \${#candidates} )) && _describe 'mcp-sigv4-proxy' candidates
}
if [ "$funcstack[1]" = "_mcp_sigv4_proxy" ]; then
  _mcp_sigv4_proxy "$@"
else
  compdef _mcp_sigv4_proxy mcp-sigv4-proxy
fi
`,
  fish: `# mcp-sigv4-proxy completion fish | source
function __mcp_sigv4_proxy_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found ($words[1] __complete $words[2..-1] 2>/dev/null)
  if contains -- ${FILES} $found
    __fish_complete_path (commandline -ct)
  end
  string match -v -- ${FILES} $found
end
complete -c mcp-sigv4-proxy -f -a '(__mcp_sigv4_proxy_complete)'
`,
  // Before version 7.3, PowerShell drops an empty argument: --empty stands for it.
  powershell: `# mcp-sigv4-proxy completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName mcp-sigv4-proxy -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  if ($wordToComplete -eq '') { $words += '--empty' }
  & mcp-sigv4-proxy __complete @words 2>$null | Where-Object { $_ -ne '${FILES}' } | ForEach-Object {
    $word, $description = $_ -split "\`t", 2
    if (-not $description) { $description = $word }
    [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $description)
  }
}
`,
};
