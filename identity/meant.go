package identity

import (
	"path"
	"strings"
)

// Below the name of a folder are two more: its manifest, by which the publisher says that the name is a folder, and a page
// that any browser can show. The name itself stands for the manifest too.
const (
	ManifestName = "/folder.json"
	ListingName  = "/index.html"
)

// maxCandidates bounds the names that one link may mean.
const maxCandidates = 8

// Candidates are the published names that a link to name may mean: that, as a file or as a folder, or something in a folder
// above. There is none if name cannot be published.
func Candidates(name string) (out []string) {
	if CheckName(name) != nil {
		return nil
	}
	out = append(out, name)
	for at := name; at != "." && len(out) < maxCandidates; at = path.Dir(at) {
		if CheckName(at+ManifestName) == nil {
			out = append(out, at+ManifestName)
		}
	}
	return out
}

// Meant is what a link to name means, of the records that are known: the whole name first, then the longest that is a folder.
// rest is the path in that.
func Meant(name string, rs []Record) (r Record, isFolder bool, rest string, ok bool) {
	known := map[string]*Record{}
	for i := range rs {
		known[rs[i].Path] = &rs[i]
	}
	file := known[name]
	if dir := known[name+ManifestName]; dir != nil && (file == nil || dir.SHA256 == file.SHA256 || dir.Seq > file.Seq) {
		return *dir, true, "", true
	}
	if file != nil {
		return *file, false, "", true
	}
	for at := path.Dir(name); at != "." && at != "/"; at = path.Dir(at) {
		if dir := known[at+ManifestName]; dir != nil {
			return *dir, true, strings.TrimPrefix(name, at+"/"), true
		}
	}
	return Record{}, false, "", false
}
