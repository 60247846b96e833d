package wire

// CookieValue returns {"cookie":"text"}, the one form of a value to be returned
// that every peer understands.
func CookieValue(text string) []byte {
	return append(appendText(make([]byte, 0, len(text)+16), `{"cookie":`, text), '}')
}

// CookieText returns the text of a value of the form {"cookie":"text"}, in any
// spelling of the same JSON; false for any other value, such as one with more
// fields.
func CookieText(value []byte) (string, bool) {
	var cookie []byte
	o := object{cursor: begin(value)}
	for ok := true; o.next(ok); {
		if ok = string(o.name) == "cookie"; ok {
			cookie, ok = o.text()
		}
	}
	if o.finish("cookie") != nil || cookie == nil {
		return "", false
	}
	return string(cookie), true
}
