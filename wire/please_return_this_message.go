package wire

// PleaseReturnThisMessage asks for a ReturnedMessage of the same value: a ping.
type PleaseReturnThisMessage struct {
	Value []byte // raw JSON of any kind, echoed byte for byte; empty is sent as null
}

func (PleaseReturnThisMessage) Name() string { return "PleaseReturnThisMessage" }

func (m PleaseReturnThisMessage) AppendPayload(dst []byte) []byte { return appendValue(dst, m.Value) }

// ParsePleaseReturnThisMessage takes any valid JSON. Value aliases payload.
func ParsePleaseReturnThisMessage(payload []byte) (PleaseReturnThisMessage, error) {
	v, err := wholeValue("PleaseReturnThisMessage", payload)
	return PleaseReturnThisMessage{v}, err
}
