package wire

// ChatMessage is a line of text from one person to another.
type ChatMessage struct{ Message string }

func (ChatMessage) Name() string { return "ChatMessage" }

func (m ChatMessage) AppendPayload(dst []byte) []byte {
	return append(appendText(dst, `{"message":`, m.Message), '}')
}

// ParseChatMessage needs the text. It is valid UTF-8, but may hold any
// character: what shows it on a terminal must take out the control characters.
func ParseChatMessage(payload []byte) (ChatMessage, error) {
	const name = "ChatMessage"
	var message []byte
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		if string(o.name) == "message" {
			message, ok = o.text()
		} else {
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
	return ChatMessage{string(message)}, nil
}
