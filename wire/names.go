package wire

// known holds the names that peers are known to use, so that an Element's Name
// need not be allocated for them.
var known = func() map[string]string {
	m := map[string]string{}
	for _, name := range []string{
		"AlwaysReturned", "PleaseAlwaysReturnThisMessage",
		"PleaseReturnThisMessage", "ReturnedMessage",
		"PleaseSendPeers", "Peers",
		"PleaseSendContent", "Content", "MaybeTheyHaveSome",
		"PleaseListContent", "ContentList", "IJustSawThis", "YouShouldSeeThis",
		"MyPublicKey", "SignedMessage", "EncryptedMessages", "FastEncryptedMessages",
		"ChatMessage", "GroupChatMessage", "WhereAreThey", "Forward", "Forwarded", "YourEd25519", "PleaseSignYourPub",
		"GetLatest", "Latest",
	} {
		m[name] = name
	}
	return m
}()

// intern returns name as a string, without allocating for known names.
func intern(name []byte) string {
	if s, ok := known[string(name)]; ok {
		return s
	}
	return string(name)
}
