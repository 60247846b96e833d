package gateway

import (
	"net/http"
	"strings"
)

// oneRange leaves a request with a range that http.ServeContent can serve as one part, or with none (RFC 9110 section 14.2:
// other units must be ignored, invalid ranges may be, and so may several at once).
func oneRange(r *http.Request) {
	h := r.Header.Values("Range")
	if len(h) == 0 {
		return
	}
	if clean, ok := cleanRange(h[0]); ok && len(h) == 1 {
		r.Header.Set("Range", clean)
		return
	}
	r.Header.Del("Range")
}

const (
	maxDigits = 18                   // of a position that fits an int64
	beyond    = "999999999999999999" // a position that no content has
)

// cleanRange returns a valid single range of bytes in a form that has one reading; ok is false when there is none.
func cleanRange(header string) (clean string, ok bool) {
	unit, spec, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return "", false
	}
	first, last, ok := strings.Cut(strings.Trim(spec, " \t"), "-")
	if !ok || strings.Trim(first+last, "0123456789") != "" || first+last == "" {
		return "", false
	}
	first, last = position(first), position(last)
	switch {
	case first == "" && last == "0": // the last no bytes: not satisfiable
		return "bytes=" + beyond + "-", true
	case first != "" && last != "" && (len(first) > len(last) || len(first) == len(last) && first > last):
		return "", false
	}
	return "bytes=" + first + "-" + last, true
}

// position is a number without zeros before it, and not larger than can be read.
func position(digits string) string {
	if digits == "" {
		return ""
	}
	digits = strings.TrimLeft(digits, "0")
	switch {
	case digits == "":
		return "0"
	case len(digits) > maxDigits:
		return beyond
	}
	return digits
}
