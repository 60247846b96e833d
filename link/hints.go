package link

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sharer/chunk"
)

// parseHints reads the query. Unknown hints are for other programs. A hint that
// states a fact (s, h) and cannot be read is an error, for a check must not be
// lost silently; one that only helps (p, k, w, so, seq) is set aside in Ignored.
func (l *Link) parseHints(query string) error {
	for pair := range strings.SplitSeq(query, "&") {
		key, raw, _ := strings.Cut(pair, "=")
		key = strings.ToLower(key)
		if !slices.Contains([]string{"n", "s", "p", "k", "h", "so", "w", "seq"}, key) {
			continue
		}
		value, err := unescape(raw, true)
		if err != nil {
			return fmt.Errorf("link: hint %s %w", key, err)
		}
		switch key {
		case "n":
			if l.Name == "" {
				l.Name = cleanName(value)
			}
		case "s":
			err = l.parseSize(value)
		case "h":
			err = l.parseAlso(value)
		default:
			if why := l.parseHelp(key, value); why != "" && len(l.Ignored) < 4*maxRepeated {
				l.Ignored = append(l.Ignored, fmt.Sprintf("hint %s=%s: %s", key, quote(value), why))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *Link) parseSize(value string) error {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return fmt.Errorf("link: size s=%s is not a number of bytes", quote(value))
	}
	if l.Size >= 0 && l.Size != int64(n) {
		return fmt.Errorf("link: says two sizes, %d and %d", l.Size, n)
	}
	l.Size = int64(n)
	return nil
}

func (l *Link) parseAlso(value string) error {
	word, digits, ok := strings.Cut(value, ":")
	id := chunk.ID{}
	switch strings.ToLower(word) {
	case "sha256":
		id.Kind = chunk.SHA256
	case "blake3":
		id.Kind = chunk.BLAKE3
	default:
		if !ok {
			return fmt.Errorf("link: hint h=%s is not sha256:<hex> or blake3:<hex>", quote(value))
		}
		return nil // a hash that is not invented yet
	}
	var err error
	if id.Hash, err = parseHash(digits); err != nil {
		return fmt.Errorf("link: hint h: %w", errors.New(strings.TrimPrefix(err.Error(), "link: ")))
	}
	// A tree's id is the blake3 of its content.
	same := l.ID.Kind == id.Kind || l.ID.Kind == chunk.BLAKE3Tree && id.Kind == chunk.BLAKE3
	switch {
	case same && l.ID.Hash != id.Hash, !same && l.Also.Kind != 0 && l.Also != id:
		return fmt.Errorf("link: hint h names another %s than the link does", kindWord(id.Kind))
	case !same:
		l.Also = id
	}
	return nil
}

// parseHelp takes a hint that only helps; the result says why it was not usable.
func (l *Link) parseHelp(key, value string) (why string) {
	switch key {
	case "p":
		addr, err := netip.ParseAddrPort(value)
		if err != nil || len(value) > maxHintText {
			return "is not ip:port"
		}
		addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
		ip := addr.Addr()
		switch {
		case addr.Port() == 0, ip.IsUnspecified(), ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return "is not the address of a peer"
		case slices.Contains(l.Peers, addr):
		case len(l.Peers) == MaxPeers:
			return fmt.Sprintf("only %d peers are used", MaxPeers)
		default:
			l.Peers = append(l.Peers, addr)
		}
	case "k":
		digits := strings.TrimPrefix(strings.ToLower(value), "0x")
		var k Key
		if n, err := hex.Decode(k[:], []byte(digits[:min(len(digits), 64)])); err != nil || n != len(k) || len(digits) != 64 {
			return "is not a public key of 64 hex digits"
		}
		switch {
		case slices.Contains(l.Keys, k):
		case len(l.Keys) == maxRepeated:
			return fmt.Sprintf("only %d keys are used", maxRepeated)
		default:
			l.Keys = append(l.Keys, k)
		}
	case "w":
		u, err := url.Parse(value)
		switch {
		case err != nil || !strings.EqualFold(u.Scheme, "https") || u.Host == "", len(value) > maxWebText:
			return "is not an https URL"
		case slices.Contains(l.Mirrors, value):
		case len(l.Mirrors) == maxRepeated:
			return fmt.Sprintf("only %d mirrors are used", maxRepeated)
		default:
			l.Mirrors = append(l.Mirrors, value)
		}
	case "so":
		if value == "" || len(value) > maxHintText || strings.Trim(value, "0123456789,-") != "" {
			return "is not a selection such as 0,2,5-9"
		}
		l.Select = value
	case "seq":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return "is not a number"
		}
		l.Seq = int64(n)
	}
	return ""
}
