// Package rewrite holds the rules by which a stanza of one side becomes a
// stanza of the other. It is pure: no state, no clock, no I/O.
//
// Nothing is passed on as it came (IJ-02). A stanza is taken apart into a
// Content, which can hold nothing but what the rules know; a new stanza is
// built from that and from what the gateway itself adds.
//
// Two marks keep a reader from being deceived, one on each side.
//
// On the network every message comes from the gateway's own account. Its first
// line begins with the name of the peer who wrote it in square brackets, and
// every further line is indented by two spaces. So a "[" in the first column is
// always the gateway's; a body that says "[bob@h2] yes" can only ever follow the
// bracketed name of whoever really wrote it. The names in brackets
// always hold an "@" (see DisplayName); the gateway's own words stand behind a
// bracket without one: "[meshgate] nobody of that name".
// Names that merely look alike, as by a Cyrillic letter, are not told apart:
// which names may write is for the configuration to say. Nor is it for the
// gateway where a window breaks a long line; only long runs of blanks, which
// break it for sure, are cut.
//
// On the mesh a contact's words appear in the window of its mirror as they
// are, and the gateway's words in the same window begin with "[meshgate]". So a
// line of a contact whose first visible character is a square bracket, or
// looks like one, gets the contact's name in front: "Alice: [meshgate] …".
package rewrite
