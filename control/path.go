package control

import (
	"encoding/json"
	"unicode/utf8"
)

// Path is a path of the file system in JSON: text, or where it is not UTF-8 {"bytes": base64}.
type Path string

// MarshalJSON writes all bytes of p.
func (p Path) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(p)) {
		return json.Marshal(string(p))
	}
	return json.Marshal(map[string][]byte{"bytes": []byte(p)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Path) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '{' {
		var raw struct {
			Bytes []byte `json:"bytes"`
		}
		err := json.Unmarshal(text, &raw)
		*p = Path(raw.Bytes)
		return err
	}
	return json.Unmarshal(text, (*string)(p))
}

func texts(in []Path) []string {
	out := make([]string, 0, len(in))
	for _, p := range in {
		out = append(out, string(p))
	}
	return out
}
