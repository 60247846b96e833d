package wire

// PleaseSendPeers asks for Peers.
type PleaseSendPeers struct{}

func (PleaseSendPeers) Name() string { return "PleaseSendPeers" }

func (PleaseSendPeers) AppendPayload(dst []byte) []byte { return append(dst, "{}"...) }

// ParsePleaseSendPeers takes any valid JSON: old nodes and hand-written questions
// send more than an empty object.
func ParsePleaseSendPeers(payload []byte) (PleaseSendPeers, error) {
	_, err := wholeValue("PleaseSendPeers", payload)
	return PleaseSendPeers{}, err
}
