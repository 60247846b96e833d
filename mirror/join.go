package mirror

import (
	"encoding/json"
	"fmt"
	"unicode"

	"sharer/identity"
)

// InvitationName is what a publisher calls its invitation, by custom.
const InvitationName = "mirrors.json"

// MaxInvitation bounds one, in bytes.
const MaxInvitation = 1 << 20

// Invitation is what a publisher wants to have mirrored. It is a content that the publisher's name stands for, and so
// signed by it; whoever reads it decides.
type Invitation struct {
	V     int                  `json:"mirrors"` // 1
	Text  string               `json:"text,omitempty"`
	Carry []Wish               `json:"carry"`
	Group []identity.PublicKey `json:"group,omitempty"` // mirrors that share the load
}

// Wish is one folder of it.
type Wish struct {
	Name   string `json:"name"`             // of a folder that the same key publishes
	Size   int64  `json:"size"`             // bytes, as the publisher says
	Quota  int64  `json:"quota,omitempty"`  // bytes that it suggests
	Copies int    `json:"copies,omitempty"` // that it wants among the group
	Text   string `json:"text,omitempty"`
}

const (
	maxWishes = 100
	maxWords  = 500 // bytes of a text
)

// ParseInvitation reads one. Texts are a stranger's.
func ParseInvitation(data []byte) (v Invitation, err error) {
	if len(data) > MaxInvitation {
		return v, fmt.Errorf("an invitation of more than %d bytes", MaxInvitation)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("not an invitation to mirror: %w", err)
	}
	switch {
	case v.V != 1:
		return v, fmt.Errorf("not an invitation to mirror, or of a newer form (%d)", v.V)
	case len(v.Carry) == 0 || len(v.Carry) > maxWishes:
		return v, fmt.Errorf("an invitation for %d folders, want 1 to %d", len(v.Carry), maxWishes)
	case len(v.Group) > maxGroup:
		return v, fmt.Errorf("an invitation with more than %d mirrors", maxGroup)
	}
	v.Text = words(v.Text)
	for i := range v.Carry {
		w := &v.Carry[i]
		w.Text = words(w.Text)
		if err := identity.CheckName(w.Name); err != nil {
			return v, fmt.Errorf("an invitation: %w", err)
		}
		if w.Size < 0 || w.Quota < 0 || w.Copies < 0 {
			return v, fmt.Errorf("an invitation for %q with a number below zero", w.Name)
		}
	}
	return v, nil
}

// words shortens a text to one line of what can be seen.
func words(text string) string {
	out := make([]rune, 0, len(text))
	for _, r := range text {
		switch {
		case len(string(out)) > maxWords:
			return string(out) + "…"
		case unicode.IsSpace(r):
			out = append(out, ' ')
		case unicode.IsPrint(r):
			out = append(out, r)
		}
	}
	return string(out)
}

// NameFor is a mirror's name made of a published one.
func NameFor(published string) string {
	out := []byte{}
	for _, c := range []byte(published) {
		switch {
		case c == '.' && len(out) == 0:
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
			out = append(out, c)
		case len(out) > 0 && out[len(out)-1] != '-':
			out = append(out, '-')
		}
	}
	out = out[:min(len(out), MaxName)]
	if len(out) == 0 {
		return "mirror"
	}
	return string(out)
}
