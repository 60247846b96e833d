package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sharer/control"
)

// completeVerb is what the scripts of sharer completion call: the words of the line up to the cursor come behind it.
// It is no command of its own, so that help does not show it.
const completeVerb = "__complete"

// candidate is one way to go on.
type candidate struct{ word, text string }

// filesWord is printed last where names of files are a way to go on too.
const filesWord = ":files"

// takesIDs are the verbs whose arguments may be ids of what is here; those of takesFiles may be names of files.
var (
	takesIDs   = []string{"ls", "info", "rm", "pin", "unpin", "verify", "link", "open", "get"}
	takesFiles = []string{"seed", "hash", "verify", "link", "publish", "info", "man", "key", "mirror"}
)

// fixedWords are the first arguments of verbs that have a few.
var fixedWords = map[string][]string{
	"config": {"get", "set", "path", "check"}, "completion": {"bash", "zsh", "fish", "powershell"},
	"mirror": {"add", "set", "ls", "status", "sync", "pause", "resume", "approve", "rm", "log", "join", "export", "import"}, "peers": {"add", "rm", "ban", "unban", "bans"}, "limit": {"off", "default"},
	"deny": {"add", "rm", "ls", "apply", "subscribe", "unsubscribe"}, "key": {"show", "export", "import"},
}

// flagWords are the values of flags that have a few.
var flagWords = map[string][]string{
	"color": {"auto", "always", "never"}, "progress": {"auto", "bar", "line", "none"}, "daemon": {"auto", "require", "never"},
	"log-format": {"text", "json"}, "sort": {"rtt", "heard", "address"}, "port-mapping": {"auto", "off"}, "http": {"off"}, "on-full": {"hold", "newest", "pinned-first"}, "seed": {"forever"},
}

// runComplete prints the ways to go on from words, of which the last one is unfinished.
func runComplete(ctx context.Context, words []string, s *stdio) exit {
	if len(words) == 0 {
		words = []string{""}
	}
	found, files := complete(commands(), words, func() []candidate { return liveIDs(ctx, s) })
	var b strings.Builder
	for _, c := range found {
		b.WriteString(c.word)
		if c.text != "" {
			b.WriteString("\t" + escape(shorten(c.text, 60)))
		}
		b.WriteByte('\n')
	}
	if files {
		b.WriteString(filesWord + "\n")
	}
	io.WriteString(s.out, b.String())
	return exitDone
}

// complete finds the ways to go on; files: names of files are some too. ids is asked for those of what is here.
func complete(all []*command, words []string, ids func() []candidate) (found []candidate, files bool) {
	before, word := words[:len(words)-1], words[len(words)-1]
	at, _ := verbAt(all, before)
	var verb *command
	if at >= 0 {
		verb = named(all, before[at])
	}
	add := func(list ...candidate) {
		for _, c := range list {
			if strings.HasPrefix(c.word, word) {
				found = append(found, c)
			}
		}
	}
	addWords := func(list []string) {
		for _, w := range list {
			add(candidate{word: w})
		}
	}
	if n := len(before); n > 0 && strings.HasPrefix(before[n-1], "-") && takesNext(all, before[n-1]) {
		list, ok := flagWords[flagNamed(all, before[n-1])]
		addWords(list)
		return found, !ok
	}
	switch {
	case slices.Contains(before, "--"):
	case strings.HasPrefix(word, "-"):
		flags := commonFlags
		if verb != nil {
			flags = verb.flags.VisitAll
		}
		flags(func(f *pflag.Flag) {
			_, text := pflag.UnquoteUsage(f)
			add(candidate{"--" + f.Name, text})
		})
		add(candidate{"--help", "show help"})
		return found, false
	}
	switch {
	case verb == nil && at >= 0:
		return nil, false
	case verb == nil || verb.name == "help":
		for _, c := range all {
			add(candidate{c.name, c.short})
		}
		return found, false
	}
	if list, ok := fixedWords[verb.name]; ok && at == len(before)-1 {
		addWords(list)
		return found, false
	}
	if verb.name == "config" {
		for _, c := range all {
			c.flags.VisitAll(func(f *pflag.Flag) { add(candidate{word: f.Name}) })
		}
		slices.SortFunc(found, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
		return slices.CompactFunc(found, func(a, b candidate) bool { return a.word == b.word }), false
	}
	if slices.Contains(takesIDs, verb.name) {
		add(ids()...)
	}
	return found, slices.Contains(takesFiles, verb.name)
}

func commonFlags(func(*pflag.Flag)) {}

// flagNamed is the long name of a flag as it was typed.
func flagNamed(all []*command, typed string) string {
	if long, ok := strings.CutPrefix(typed, "--"); ok {
		return long
	}
	for _, c := range all {
		if f := c.flags.ShorthandLookup(typed[len(typed)-1:]); f != nil {
			return f.Name
		}
	}
	return ""
}

// patienceOfTab is how long somebody who has pressed a key is kept waiting for a daemon.
const patienceOfTab = 500 * time.Millisecond

// liveIDs asks the daemon what is here; without one there is nothing to offer.
func liveIDs(ctx context.Context, s *stdio) (found []candidate) {
	ctx, cancel := context.WithTimeout(ctx, patienceOfTab)
	defer cancel()
	o := newStatus() // it finds the daemon as any other command
	if o.parse(nil, s.getenv) != nil {
		return nil
	}
	dir, err := o.options.stateFolder(s.getenv)
	if err != nil {
		return nil
	}
	c, err := control.Dial(ctx, dir)
	if err != nil {
		return nil
	}
	defer c.Close()
	items, err := c.Items(ctx)
	if err != nil {
		return nil
	}
	for _, it := range items {
		if it.ID != "" {
			found = append(found, candidate{it.ID, it.Name})
		}
	}
	return found
}

func newCompletion() *command {
	c := newCommand("completion", "bash|zsh|fish|powershell", "print the script that completes command lines")
	c.long = `Print a script for the shell, which then completes commands, flags, their values, and the ids
of what the running daemon has.`
	c.examples = `sharer completion bash > ~/.local/share/bash-completion/completions/sharer
sharer completion zsh > "${fpath[1]}/_sharer"
sharer completion fish > ~/.config/fish/completions/sharer.fish
sharer completion powershell >> $PROFILE`
	c.run = func(_ context.Context, args []string, s *stdio) error {
		if len(args) != 1 {
			return usagef("completion needs the name of a shell: bash, zsh, fish or powershell")
		}
		script, ok := completionScripts[args[0]]
		if !ok {
			return usagef("no script for %q; there are bash, zsh, fish and powershell", shorten(args[0], 40))
		}
		fmt.Fprint(s.out, script)
		return nil
	}
	return c
}

var completionScripts = map[string]string{
	"bash": `# bash completion for sharer
_sharer() {
    local IFS=$'\n' line files= cur="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=()
    while read -r line; do
        if [ "$line" = :files ]; then files=1; else COMPREPLY+=("${line%%$'\t'*}"); fi
    done < <(sharer __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [ -n "$files" ]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen -f -- "$cur"))
    fi
}
complete -F _sharer sharer
`,
	"zsh": `#compdef sharer
_sharer() {
    local line files=
    local -a found
    while IFS= read -r line; do
        if [[ $line == :files ]]; then files=1; else found+=("${${line%%$'\t'*}//:/\\:}${${(M)line%$'\t'*}:+:${line#*$'\t'}}"); fi
    done < <(sharer __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    local none=1 # what zsh goes by: with 1 it tries its other completers
    (( $#found )) && _describe sharer found && none=0
    [[ -n $files ]] && _files && none=0
    return none
}
if [ "$funcstack[1]" = "_sharer" ]; then _sharer "$@"; else compdef _sharer sharer; fi
`,
	"fish": `# fish completion for sharer
function __sharer_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (sharer __complete $words[2..-1] 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c sharer -f -a '(__sharer_complete)'
`,
	"powershell": `# PowerShell completion for sharer
Register-ArgumentCompleter -Native -CommandName sharer -ScriptBlock {
    param($word, $ast, $cursor)
    $words = @($ast.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursor } | ForEach-Object { "$_" }) + @("$word")
    sharer __complete @words 2>$null | ForEach-Object {
        if ($_ -eq ':files') {
            Get-ChildItem -Name "$word*" | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }
        } else {
            $parts = $_ -split [char]9, 2
            $tip = if ($parts.Count -gt 1) { $parts[1] } else { $parts[0] }
            [System.Management.Automation.CompletionResult]::new($parts[0], $parts[0], 'ParameterValue', $tip)
        }
    }
}
`,
}
