// Package config reads the one file of settings: TOML, whose keys are spelled as the flags of the commands.
//
//	bwlimit = "2M:512K"              # for every command that has the flag
//	peer = ["a.example:24254"]
//
//	[get]                            # for get alone; it wins over what stands above
//	find-timeout = "5m"
//
// What it promises:
//   - Nothing is guessed: what it does not understand is an [Error] with file, line and column.
//   - [Set] changes the one setting and leaves the rest of the text, comments too, as it is.
//
// What it does not: it does not know which keys there are, nor what their values mean; who has the flags does.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// MaxSize is the longest file that is read, in bytes; one with every flag has 4 KiB.
const MaxSize = 1 << 20

// Setting is one key with its value.
type Setting struct {
	Command string   // the table that it stands in; empty: for every command
	Key     string   // the name of a flag
	Values  []string // as a flag takes them; one, unless List
	List    bool     // it is an array
	Line    int      // from 1

	key, value span
}

// span is a part of the text, in bytes.
type span struct{ from, to int }

// Name is how people call it: get.find-timeout.
func (s Setting) Name() string {
	if s.Command == "" {
		return s.Key
	}
	return s.Command + "." + s.Key
}

// File is what a file says.
type File struct {
	Path     string
	Settings []Setting // in their order

	text   []byte
	tables []table
}

// table is the header of a table.
type table struct {
	name string
	at   int // where its line begins
}

// Error is a mistake in a file.
type Error struct {
	Path         string
	Line, Column int // from 1; 0: of the whole file
	Text         string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Path, e.Text)
	}
	return fmt.Sprintf("%s, line %d: %s", e.Path, e.Line, e.Text)
}

// Read reads a file. One that is not there is an empty one, when missing says so. The error is an *Error, or one of the system.
func Read(path string, missing bool) (*File, error) {
	f, err := os.Open(path)
	if missing && errors.Is(err, fs.ErrNotExist) {
		return &File{Path: path}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && !fi.Mode().IsRegular() {
		return nil, &Error{Path: path, Text: "it is no file"}
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// Parse reads the text of a file. The error is an *Error.
func Parse(path string, text []byte) (*File, error) {
	if len(text) > MaxSize {
		return nil, &Error{Path: path, Text: fmt.Sprintf("it has more than %d bytes", MaxSize)}
	}
	var all map[string]any
	if err := toml.Unmarshal(text, &all); err != nil {
		e := &Error{Path: path, Line: 1, Column: 1, Text: err.Error()}
		var at *toml.DecodeError
		if errors.As(err, &at) {
			e.Line, e.Column = at.Position()
		}
		e.Text = strings.TrimPrefix(e.Text, "toml: ")
		return nil, e
	}
	f := &File{Path: path, text: text}
	var p unstable.Parser
	p.Reset(text)
	command := ""
	for p.NextExpression() {
		var err error
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			command, err = f.table(&p, e)
		case unstable.KeyValue:
			err = f.setting(&p, e, command)
		case unstable.Comment:
		default:
			err = f.mistake(&p, e.Child(), "arrays of tables mean nothing here")
		}
		if err != nil {
			return nil, err
		}
	}
	if err := p.Error(); err != nil {
		return nil, &Error{Path: path, Text: err.Error()}
	}
	return f, nil
}

// mistake is an error at a node that has a place in the text.
func (f *File) mistake(p *unstable.Parser, at *unstable.Node, text string) *Error {
	e := &Error{Path: f.Path, Text: text}
	if at.Valid() {
		start := p.Shape(at.Raw).Start
		e.Line, e.Column = start.Line, start.Column
	}
	return e
}

// path is a dotted key: its parts, and its first node.
func keyOf(e *unstable.Node) (parts []string, first *unstable.Node) {
	for it := e.Key(); it.Next(); {
		if first == nil {
			first = it.Node()
		}
		parts = append(parts, string(it.Node().Data))
	}
	return parts, first
}

func (f *File) table(p *unstable.Parser, e *unstable.Node) (string, error) {
	parts, first := keyOf(e)
	if len(parts) != 1 {
		return "", f.mistake(p, first, fmt.Sprintf("a table is named for a command, as [get]; [%s] is not", strings.Join(parts, ".")))
	}
	at := int(first.Raw.Offset)
	f.tables = append(f.tables, table{parts[0], strings.LastIndexByte(string(f.text[:at]), '\n') + 1})
	return parts[0], nil
}

// setting takes a line KEY = VALUE.
func (f *File) setting(p *unstable.Parser, e *unstable.Node, command string) error {
	parts, first := keyOf(e)
	if len(parts) != 1 {
		return f.mistake(p, first, fmt.Sprintf("%s is two keys; what is meant for one command stands below a line [%s]", strings.Join(parts, "."), parts[0]))
	}
	s := Setting{Command: command, Key: parts[0], Line: p.Shape(first.Raw).Start.Line}
	s.key.from = int(first.Raw.Offset)
	s.key.to = s.key.from + int(first.Raw.Length)
	value := e.Value()
	var err error
	switch value.Kind {
	case unstable.Array:
		s.List = true
		err = f.array(p, &s, value, first)
	default:
		var text string
		text, err = f.scalar(p, value, first)
		s.Values = []string{text}
		s.value = span{int(value.Raw.Offset), int(value.Raw.Offset + value.Raw.Length)}
	}
	if err != nil {
		return err
	}
	f.Settings = append(f.Settings, s)
	return nil
}

// array takes the values of a list. Its node has no place in the text: it is looked for between what surrounds it.
func (f *File) array(p *unstable.Parser, s *Setting, value, first *unstable.Node) error {
	from := s.key.to
	for f.text[from] != '=' {
		from++
	}
	for f.text[from] != '[' {
		from++
	}
	to := from + 1
	for it := value.Children(); it.Next(); {
		n := it.Node()
		if n.Kind == unstable.Comment {
			continue
		}
		text, err := f.scalar(p, n, first)
		if err != nil {
			return err
		}
		s.Values = append(s.Values, text)
		to = int(n.Raw.Offset + n.Raw.Length)
	}
	for f.text[to] != ']' {
		if f.text[to] == '#' {
			for f.text[to] != '\n' {
				to++
			}
		}
		to++
	}
	s.value = span{from, to + 1}
	return nil
}

// scalar is a value as a flag takes it.
func (f *File) scalar(p *unstable.Parser, n, first *unstable.Node) (string, error) {
	switch n.Kind {
	case unstable.String, unstable.Bool:
		return string(n.Data), nil
	case unstable.Integer, unstable.Float:
		return strings.ReplaceAll(string(n.Data), "_", ""), nil
	}
	return "", f.mistake(p, first, fmt.Sprintf("the value of %s is none that a flag takes; want a string, a number, true or false, or a list of them", first.Data))
}

// For returns what a file says for a command, by key: what stands in its table wins.
func (f *File) For(command string) map[string]Setting {
	out := make(map[string]Setting)
	for _, s := range f.Settings { // tables stand behind what is for all
		if s.Command == "" || s.Command == command {
			out[s.Key] = s
		}
	}
	return out
}
