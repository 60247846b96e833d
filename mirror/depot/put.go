package depot

import (
	"errors"
	"io"
	"net/http"
	"os"

	"sharer/chunk"
)

// put takes a content into a file without a name first: a store may have to read it again, to try again. It verifies once
// more what it is about to write: that costs less than what it prevents.
func (s Handler) put(w http.ResponseWriter, r *http.Request, h chunk.Hash) {
	if r.ContentLength < 0 {
		http.Error(w, "the size is needed", http.StatusLengthRequired)
		return
	}
	f, err := os.CreateTemp(s.Spool, "put-")
	if err != nil {
		answer(w, err)
		return
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }() // it was ours alone, and has served
	if _, err := io.Copy(f, r.Body); err != nil {
		answer(w, err)
		return
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		answer(w, err)
		return
	}
	sums, err := chunk.Sum(r.Context(), f, r.ContentLength, nil, nil)
	if err != nil || sums.BLAKE3 != h {
		http.Error(w, "this is another content", http.StatusUnprocessableEntity)
		return
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		answer(w, err)
		return
	}
	answer(w, s.Store.Put(r.Context(), h, r.ContentLength, f))
}
