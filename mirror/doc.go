// Package mirror keeps copies of folders that somebody else publishes: it decides what to carry, and changes from one
// version to the next without a moment in between.
//
// What it promises:
//   - Who reads the tree sees one version, whole, whatever happens: a version is built beside the others from contents
//     that are verified, and becomes the current one by one rename. [Tree].
//   - Nothing is fetched before the manifest was held against the operator's rules and the disk. [Rules], [Make].
//   - What a publisher does not do by itself, such as to take most files away, to go back to an earlier version, or
//     to sign two manifests under one number, changes nothing here until the operator has said so. [State].
//   - Who carries what is computed from what all know, without talking. [Shared].
//   - Memory does not grow with the folder but for one bit a file, and while a plan is made 32 bytes a file.
//
// What it does not: it knows no peers, and keeps no contents. Those are the node's and the store's; it says what it
// needs of them by the interfaces [Store], [Fetcher] and [Names].
package mirror
