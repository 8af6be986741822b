package bridge

import (
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"

	"meshgate/bridge/rewrite"
	"meshgate/linklocal"
)

// Bounds of what the gateway says, in bytes.
const (
	maxExcerpt = 40   // of a message that did not get through
	maxReason  = 200  // of an error's text
	maxWho     = 1500 // of each list in the answer to "who"
)

// What the gateway says to people, on both sides.
const (
	wordsNoContact   = "not sent: you may not write to this contact; ask the person who runs the gateway"
	wordsTooFast     = "not sent: too many messages in a short time; wait a little"
	wordsWaits       = "no connection to the server at the moment; your message waits and is sent as soon as it is back"
	wordsPlain       = "others on this LAN can read what is written here, and nothing proves who writes it: it is neither encrypted nor authenticated (you are told this once)"
	wordsMarkedAgain = "before the gateway was killed; it came again"
	wordsMarked      = "the gateway was killed just then, and no more is known of it"
	wordsUnseen      = "it waited no more when the gateway, which had been killed, started again"
	wordsLooking     = "I have just started and am still looking who is here; try again in a few seconds"
	wordsSealed      = "encrypted messages cannot be passed to the LAN; send without encryption"
	wordsRelayed     = "this address is a gateway, and messages of another gateway are not passed on"
	wordsWrapped     = "forwarded messages cannot be passed to the LAN; copy the text into one of your own"
	wordsFull        = "too many messages are on their way to the LAN; try again in a little while"
	wordsShortHelp   = "I am the gateway to XMPP and only know \"help\" and \"who\". Write to a contact in the contact's own window."
	wordsLANHelp     = "I am the gateway to XMPP. Write to a contact in the contact's own window; your name is put in front of what you write. What you write to a contact leaves the LAN.\nwho: says who is there\nhelp: this"
	wordsNetworkHelp = "write \"@name text\" to talk to somebody on the LAN, then just write on; an answer to a message goes to whoever wrote it\n@who: says who is there\n@help: this"
)

// Something big goes by another program, which people have to have.
const wordsLANHelpStreams = "\nto send something big: meshgate stream send -lan FILE NAME; whoever gets it waits in meshgate stream receive"

func wordsNetworkHelpStreams(service jid.JID) string {
	return fmt.Sprintf("\nto send something big: meshgate stream send -account YOU -service %s FILE NAME; whoever gets it waits in meshgate stream receive", service)
}

// wordsStranger names the peer, for the person who is asked.
func wordsStranger(peer linklocal.Instance) string {
	return "not sent: " + rewrite.DisplayName(peer) + " may not write through this gateway; ask the person who runs it"
}

func wordsTooLong(have, limit int) string {
	return fmt.Sprintf("not sent: the message is too long (%d bytes, at most %d)", have, limit)
}

func wordsUndelivered(excerpt, reason string) string {
	text := "not delivered: " + quote(excerpt)
	if reason != "" {
		text += " (" + reason + ")"
	}
	return text
}

func wordsUnsure(excerpt string) string {
	return "the gateway was interrupted just when you wrote " + quote(excerpt) + " and cannot tell whether it has arrived"
}

func wordsNotReached(peer linklocal.Instance, reason string) string {
	return fmt.Sprintf("%s could not be reached on the LAN (%s)", rewrite.DisplayName(peer), reason)
}

func wordsGone(peer linklocal.Instance) string {
	return rewrite.DisplayName(peer) + " has left the LAN"
}

func wordsTalking(peer linklocal.Instance) string {
	return "what you write now goes to " + rewrite.DisplayName(peer)
}

func wordsUnknown(name string) string {
	return "not sent: nobody called " + quote(name) + " is on the LAN"
}

func wordsAmbiguous(among []linklocal.Instance) string {
	var names []string
	for _, i := range among {
		names = append(names, "@"+rewrite.DisplayName(i))
	}
	return "not sent: several have this name; write one of " + joinWords(names, maxWho)
}

func wordsPeers(list []linklocal.Peer) string {
	return "on the LAN: " + describePeers(list, maxWho, true)
}

func wordsConnection(online bool) string {
	if online {
		return "connected to the server"
	}
	return "no connection to the server"
}

// quote puts what others wrote in quotation marks, which it cannot end (IJ-09).
func quote(s string) string {
	return "“" + strings.NewReplacer("“", `"`, "”", `"`).Replace(s) + "”"
}

// joinWords is a list in at most limit bytes, or "nobody".
func joinWords(words []string, limit int) string { return joinSome(words, 0, limit) }

// joinSome is joinWords of words and so many that are not said.
func joinSome(words []string, more, limit int) string {
	if len(words) == 0 && more == 0 {
		return "nobody"
	}
	n, said := 0, words
	for i, w := range words {
		if n += len(w) + 2; n > limit {
			said = words[:i]
			break
		}
	}
	if more += len(words) - len(said); more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(said, ", "), more)
	}
	return strings.Join(said, ", ")
}
