package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What goes to other machines is counted and held back, in parts that its judge decides on; what stays on this one is not.
func TestSpend(t *testing.T) {
	spent, part, used := 0, 1000, false
	g, s := newTest(t, func(c *Config) {
		c.Hosts = []string{"mirror.example"}
		c.Spend = func(_ context.Context, most int) (int, error) {
			if used {
				return 0, errors.New("nothing is left")
			}
			n := min(most, part)
			spent += n
			return n, nil
		}
	})
	text := strings.Repeat("0123456789", 10_001)
	path := "/" + idOf(s.put(t, []byte(text)))
	ask := func(host string) *httptest.ResponseRecorder {
		return asking{path: path, host: host}.do(g)
	}
	if w := ask(""); w.Code != http.StatusOK || w.Body.String() != text || spent != 0 {
		t.Errorf("from here: %d, %d bytes of %d are counted", w.Code, spent, len(text))
	}
	if w := ask("mirror.example"); w.Code != http.StatusOK || w.Body.String() != text || spent != len(text) {
		t.Errorf("from elsewhere: %d, %d bytes of %d are counted", w.Code, spent, len(text))
	}
	used = true
	if w := ask("mirror.example"); w.Body.Len() > 0 {
		t.Errorf("%d bytes go though nothing may", w.Body.Len())
	}
}
