package link

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"sharer/chunk"
)

// Parse reads a link in any of the forms of the package comment; spaces and line
// ends around it are ignored. The error is one line that names the wrong part.
func Parse(text string) (Link, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return Link{}, errors.New("link: is empty")
	case len(text) > MaxText:
		return Link{}, fmt.Errorf("link: is longer than %d bytes", MaxText)
	}
	for _, c := range []byte(text) {
		if c < ' ' || c == 0x7f {
			return Link{}, errors.New("link: holds a control character")
		}
	}
	// What follows '#' is a secret of its owner and never leaves this line.
	text, _, _ = strings.Cut(text, "#")
	rest, query, _ := strings.Cut(text, "?")
	parts, err := pathOf(rest)
	if err != nil {
		return Link{}, err
	}
	l := Link{Size: -1}
	tail, err := l.parseID(parts)
	if err != nil {
		return Link{}, err
	}
	switch {
	case l.Publisher != (Key{}):
		l.Published, err = published(tail)
	case l.Folder:
		l.Path, err = pathIn(tail)
	default:
		l.Name, err = nameOf(tail)
	}
	if err != nil {
		return Link{}, err
	}
	if err := l.parseHints(query); err != nil {
		return Link{}, err
	}
	if len(l.Name) > maxNameText {
		return Link{}, fmt.Errorf("link: file name has %d bytes, at most %d", len(l.Name), maxNameText)
	}
	return l, nil
}

// pathOf strips scheme and host and returns the parts that name the content: an id
// kind and a hash, a hash alone, or a publisher's key and a name.
func pathOf(text string) ([]string, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return strings.Split(strings.TrimPrefix(text, "/"), "/"), nil
	}
	switch strings.ToLower(scheme) {
	case "lcdp", "web+lcdp":
		parts := strings.Split(rest, "/")
		// The authority rule of cli.md section 2: 64 hex digits are a publisher's
		// key here, although alone, or in a web URL, they are a sha256.
		if len(parts[0]) == 64 && isHex(parts[0]) {
			parts[0] = "0x" + parts[0]
		}
		return parts, nil
	case "http", "https":
		_, path, _ := strings.Cut(rest, "/")
		if path == "" {
			return nil, errors.New("link: URL has no path, want /blake3/<hex> or /<hex>")
		}
		return strings.Split(path, "/"), nil
	}
	return nil, fmt.Errorf("link: unknown scheme %s, want lcdp, http or https", quote(scheme))
}

// parseID reads the id and returns the parts behind it.
func (l *Link) parseID(parts []string) (tail []string, err error) {
	first := strings.ToLower(parts[0])
	switch first {
	case "blake3", "b3":
		l.ID.Kind = chunk.BLAKE3
	case "sha256":
		l.ID.Kind = chunk.SHA256
	case "blake3_tree_v2":
		l.ID.Kind = chunk.BLAKE3Tree
	case folderWord:
		l.ID.Kind, l.Folder = chunk.BLAKE3, true
	case "latest":
		if len(parts) < 2 || parts[1] == "" {
			return nil, errors.New("link: publisher's key is missing after latest/")
		}
		return parts[2:], l.parsePublisher(strings.TrimPrefix(strings.ToLower(parts[1]), "0x"))
	default:
		if key, ok := strings.CutPrefix(first, "0x"); ok {
			return parts[1:], l.parsePublisher(key)
		}
		// Whatever is not short enough to be a word is meant as a hash.
		if !isHex(first) && len(first) < 32 {
			return nil, fmt.Errorf("link: unknown kind of id %s, want blake3, sha256, folder or blake3_tree_v2", quote(parts[0]))
		}
		l.ID.Kind = chunk.SHA256
		l.ID.Hash, err = parseHash(first)
		return parts[1:], err
	}
	l.ID.Hash, err = hashAfter(parts)
	if err != nil {
		return nil, err
	}
	return parts[2:], nil
}

// parsePublisher reads the key of a publisher.
func (l *Link) parsePublisher(text string) error {
	if err := checkHex("publisher's key", text); err != nil {
		return err
	}
	if _, err := hex.Decode(l.Publisher[:], []byte(text)); err != nil {
		return err
	}
	if l.Publisher == (Key{}) {
		return errors.New("link: publisher's key is all zeros, which is none")
	}
	return nil
}

// published takes all parts as a publisher's name.
func published(tail []string) (string, error) {
	name, err := pathIn(tail)
	switch {
	case err != nil:
		return "", errors.New(strings.Replace(err.Error(), "path in the folder", "published name", 1))
	case name == "":
		return "", errors.New("link: published name is missing after the publisher's key")
	}
	return name, nil
}

func hashAfter(parts []string) (chunk.Hash, error) {
	if len(parts) < 2 || parts[1] == "" {
		return chunk.Hash{}, fmt.Errorf("link: hash is missing after %s/", strings.ToLower(parts[0]))
	}
	return parseHash(parts[1])
}

func parseHash(text string) (chunk.Hash, error) {
	if err := checkHex("hash", text); err != nil {
		return chunk.Hash{}, err
	}
	var h chunk.Hash
	_, err := hex.Decode(h[:], []byte(text))
	return h, err
}

// checkHex says what is wrong with text as 64 hex digits.
func checkHex(what, text string) error {
	for i := range len(text) {
		if !isHex(text[i : i+1]) {
			return fmt.Errorf("link: %s has %s at digit %d, want 64 hex digits", what, quote(firstRune(text[i:])), i+1)
		}
	}
	if len(text) != 64 {
		return fmt.Errorf("link: %s has %d hex digits, want 64", what, len(text))
	}
	return nil
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

// isHex is true of ASCII hex digits in either case only.
func isHex(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !('0' <= s[i] && s[i] <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

// nameOf takes the last part that is not empty as the file name: nodes ignore
// whatever stands behind the hash.
func nameOf(tail []string) (string, error) {
	for i := len(tail) - 1; i >= 0; i-- {
		if tail[i] == "" {
			continue
		}
		name, err := unescape(tail[i], false)
		if err != nil {
			return "", fmt.Errorf("link: file name %w", err)
		}
		return cleanName(name), nil
	}
	return "", nil
}

// pathIn takes all parts as a path in a folder. One that would lead out of it, or that a manifest
// cannot hold, is an error; a slash at the end means nothing.
func pathIn(tail []string) (string, error) {
	for len(tail) > 0 && tail[len(tail)-1] == "" {
		tail = tail[:len(tail)-1]
	}
	parts := make([]string, 0, len(tail))
	n := 0
	for _, raw := range tail {
		part, err := unescape(raw, false)
		switch {
		case err != nil:
			return "", fmt.Errorf("link: path in the folder %w", err)
		case part == "", part == ".", part == "..", strings.Contains(part, "/"):
			return "", fmt.Errorf("link: path in the folder has the part %s", quote(part))
		}
		part = cleanName(part)
		parts = append(parts, part)
		n += len(part) + 1
	}
	if n > maxPathText+1 {
		return "", fmt.Errorf("link: path in the folder has %d bytes, at most %d", n-1, maxPathText)
	}
	return strings.Join(parts, "/"), nil
}

// unescape decodes percent escapes, and '+' as a space in a query.
func unescape(s string, query bool) (string, error) {
	if strings.IndexByte(s, '%') < 0 && !(query && strings.IndexByte(s, '+') >= 0) {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%':
			if len(s) < i+3 || !isHex(s[i+1:i+3]) {
				return "", fmt.Errorf("has a broken escape %s", quote(s[i:min(i+3, len(s))]))
			}
			b, err := hex.DecodeString(s[i+1 : i+3])
			if err != nil {
				return "", err
			}
			out = append(out, b[0])
			i += 2
		case query && s[i] == '+':
			out = append(out, ' ')
		default:
			out = append(out, s[i])
		}
	}
	return string(out), nil
}

// quote shows a stranger's text in an error: escaped, and no more than 40 bytes.
func quote(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%+q…", s[:40])
	}
	return fmt.Sprintf("%+q", s)
}
