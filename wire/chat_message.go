package wire

// ChatMessage is a line of text from one person to another.
type ChatMessage struct {
	Message   string
	Timestamp int64 // milliseconds since 1970, as its sender says: a message that is said twice is shown once. 0: not said
}

func (ChatMessage) Name() string { return "ChatMessage" }

func (m ChatMessage) AppendPayload(dst []byte) []byte {
	dst = appendText(dst, `{"message":`, m.Message)
	if m.Timestamp > 0 {
		dst = appendInt(dst, `,"timestamp":`, m.Timestamp)
	}
	return append(dst, '}')
}

// ParseChatMessage needs the text. It is valid UTF-8, but may hold any
// character: what shows it on a terminal must take out the control characters.
func ParseChatMessage(payload []byte) (ChatMessage, error) {
	const name = "ChatMessage"
	var message []byte
	var m ChatMessage
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		switch string(o.name) {
		case "message":
			message, ok = o.text()
		case "timestamp":
			m.Timestamp, ok = o.count()
		default:
			ok = o.pass()
		}
	}
	err := o.finish(name)
	if err == nil && message == nil {
		err = refuse(name, "message")
	}
	if err != nil {
		return ChatMessage{}, err
	}
	m.Message, m.Timestamp = string(message), max(m.Timestamp, 0)
	return m, nil
}
