package wire

// AlwaysReturned brings back the value of a PleaseAlwaysReturnThisMessage. It rides
// along with other messages and is never an answer by itself.
type AlwaysReturned struct {
	Value []byte // raw JSON of any kind, echoed byte for byte; empty is sent as null
}

func (AlwaysReturned) Name() string { return "AlwaysReturned" }

func (m AlwaysReturned) AppendPayload(dst []byte) []byte { return appendValue(dst, m.Value) }

// ParseAlwaysReturned takes any valid JSON. Value aliases payload.
func ParseAlwaysReturned(payload []byte) (AlwaysReturned, error) {
	v, err := wholeValue("AlwaysReturned", payload)
	return AlwaysReturned{v}, err
}
