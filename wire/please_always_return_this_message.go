package wire

// PleaseAlwaysReturnThisMessage asks that every datagram from now on carry an
// AlwaysReturned of the same value; see CookieText for the usual form.
type PleaseAlwaysReturnThisMessage struct {
	Value []byte // raw JSON of any kind, echoed byte for byte; empty is sent as null
}

func (PleaseAlwaysReturnThisMessage) Name() string { return "PleaseAlwaysReturnThisMessage" }

func (m PleaseAlwaysReturnThisMessage) AppendPayload(dst []byte) []byte {
	return appendValue(dst, m.Value)
}

// ParsePleaseAlwaysReturnThisMessage takes any valid JSON. Value aliases payload.
func ParsePleaseAlwaysReturnThisMessage(payload []byte) (PleaseAlwaysReturnThisMessage, error) {
	v, err := wholeValue("PleaseAlwaysReturnThisMessage", payload)
	return PleaseAlwaysReturnThisMessage{v}, err
}
