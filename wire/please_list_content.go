package wire

// PleaseListContent asks for a ContentList.
type PleaseListContent struct{}

func (PleaseListContent) Name() string { return "PleaseListContent" }

func (PleaseListContent) AppendPayload(dst []byte) []byte { return append(dst, "{}"...) }

// ParsePleaseListContent takes any valid JSON: old nodes and hand-written questions
// send more than an empty object.
func ParsePleaseListContent(payload []byte) (PleaseListContent, error) {
	_, err := wholeValue("PleaseListContent", payload)
	return PleaseListContent{}, err
}
