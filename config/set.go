package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// bareKey is a key that needs no quotes.
var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Set returns the text of f with the setting in it, or with another value if it was there already. s.Values
// are written as numbers and booleans where they are such, else as strings. What stands before and behind stays as it is.
func (f *File) Set(s Setting) ([]byte, error) {
	if !bareKey.MatchString(s.Key) || s.Command != "" && !bareKey.MatchString(s.Command) {
		return nil, fmt.Errorf("%q is no key", s.Name())
	}
	value := s.literal()
	for _, old := range f.Settings {
		if old.Command == s.Command && old.Key == s.Key {
			return splice(f.text, old.value, value), nil
		}
	}
	at := f.place(s.Command)
	line := s.Key + " = " + value + "\n"
	if s.Command != "" && !f.hasTable(s.Command) {
		line = "\n[" + s.Command + "]\n" + line
	}
	if at > 0 && f.text[at-1] != '\n' {
		line = "\n" + line
	}
	return splice(f.text, span{at, at}, line), nil
}

func (f *File) hasTable(name string) bool {
	for _, t := range f.tables {
		if t.name == name {
			return true
		}
	}
	return false
}

// place is where a new setting goes: behind the last one of its table, else behind the table's own line, else to the end.
func (f *File) place(command string) int {
	begin, end := 0, len(f.text)
	if command == "" {
		if len(f.tables) > 0 {
			end = f.tables[0].at
		}
	} else {
		begin = len(f.text)
		for i, t := range f.tables {
			if t.name != command {
				continue
			}
			begin = f.lineEnd(t.at)
			if i+1 < len(f.tables) {
				end = f.tables[i+1].at
			}
		}
	}
	at := begin
	if command == "" && len(f.tables) == 0 {
		at = end
	}
	for _, s := range f.Settings {
		if s.value.to > begin && s.value.to <= end {
			at = f.lineEnd(s.value.to)
		}
	}
	return at
}

// lineEnd is the offset behind the end of the line that holds at.
func (f *File) lineEnd(at int) int {
	if i := bytes.IndexByte(f.text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(f.text)
}

func splice(text []byte, at span, with string) []byte {
	return append(append(append([]byte{}, text[:at.from]...), with...), text[at.to:]...)
}

// literal is the value in TOML.
func (s Setting) literal() string {
	if !s.List && len(s.Values) == 1 {
		return literal(s.Values[0])
	}
	parts := make([]string, 0, len(s.Values))
	for _, v := range s.Values {
		parts = append(parts, quote(v)) // a list holds one kind of values
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

var integer = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)

func literal(v string) string {
	if v == "true" || v == "false" || integer.MatchString(v) {
		return v
	}
	return quote(v)
}

// quote is a basic string of TOML. What is not UTF-8 cannot be said in it.
func quote(v string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(v, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteString(string(r))
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Text is the value as people read it.
func (s Setting) Text() string {
	if !s.List {
		return strings.Join(s.Values, ",")
	}
	quoted := make([]string, 0, len(s.Values))
	for _, v := range s.Values {
		quoted = append(quoted, strconv.Quote(v))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
