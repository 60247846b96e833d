package seed

import (
	"slices"
	"strings"
)

// Part is some of what is below a folder, by name; what a name leads to is a part of that folder in turn, and an empty
// one is all of it.
type Part map[string]Part

// Add adds a path below the folder, with slashes. It returns how many names were new.
func (p Part) Add(rel string) (names int) {
	at := p
	for {
		name, rest, more := strings.Cut(rel, "/")
		sub, there := at[name]
		switch {
		case there && len(sub) == 0:
			return names // all of it is there already
		case !more:
			at[name] = Part{}
			return names + 1
		case !there:
			names++
			sub = Part{}
			at[name] = sub
		}
		at, rel = sub, rest
	}
}

// names are those of the part, sorted.
func (p Part) names() []string {
	names := make([]string, 0, len(p))
	for name := range p {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
