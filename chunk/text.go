package chunk

// Ids as text in documents, such as JSON: an ID as String prints it, and "" for the zero ID; a Hash as its hex digits.

// MarshalText returns 64 lower-case hex digits. The error is always nil.
func (h Hash) MarshalText() ([]byte, error) { return h.AppendText(nil) }

// UnmarshalText reads what MarshalText writes. The error is ErrBadID.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(text)
	return err
}

// MarshalText returns what String returns. The error is always nil.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText writes, and what ParseID does. The error is ErrBadID.
func (id *ID) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*id = ID{}
		return nil
	}
	*id, err = ParseID(text)
	return err
}
