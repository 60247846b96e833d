package wire

// GroupChatMessage is a line of text to all who are known. Its sender and its time identify it:
// it comes several times, by several ways.
type GroupChatMessage struct {
	Group     string
	Text      string
	Timestamp int64 // milliseconds since 1970, >= 0, as its sender says
}

func (GroupChatMessage) Name() string { return "GroupChatMessage" }

func (m GroupChatMessage) AppendPayload(dst []byte) []byte {
	dst = appendText(dst, `{"group_name":`, m.Group)
	dst = appendText(dst, `,"text":`, m.Text)
	return append(appendInt(dst, `,"timestamp":`, m.Timestamp), '}')
}

// ParseGroupChatMessage needs all three. The texts are valid UTF-8, but may hold any character.
func ParseGroupChatMessage(payload []byte) (GroupChatMessage, error) {
	const name = "GroupChatMessage"
	var group, text []byte
	sent := int64(-1)
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "group_name":
			group, ok = o.text()
		case "text":
			text, ok = o.text()
		case "timestamp":
			sent, ok = o.integer(0)
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	switch {
	case err != nil:
	case group == nil:
		err = refuse(name, "group_name")
	case text == nil:
		err = refuse(name, "text")
	case sent < 0:
		err = refuse(name, "timestamp")
	}
	if err != nil {
		return GroupChatMessage{}, err
	}
	return GroupChatMessage{Group: string(group), Text: string(text), Timestamp: sent}, nil
}
