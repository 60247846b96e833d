package wire

// ReturnedMessage answers a PleaseReturnThisMessage. A peer can return anything:
// the value is checked before it is believed.
type ReturnedMessage struct {
	Value []byte // raw JSON of any kind, echoed byte for byte; empty is sent as null
}

func (ReturnedMessage) Name() string { return "ReturnedMessage" }

func (m ReturnedMessage) AppendPayload(dst []byte) []byte { return appendValue(dst, m.Value) }

// ParseReturnedMessage takes any valid JSON. Value aliases payload.
func ParseReturnedMessage(payload []byte) (ReturnedMessage, error) {
	v, err := wholeValue("ReturnedMessage", payload)
	return ReturnedMessage{v}, err
}
