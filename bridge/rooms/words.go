package rooms

import (
	"fmt"
	"slices"
	"strings"

	"meshgate/bridge/rewrite"
	"meshgate/internal/stanza"
	"meshgate/xmppc2s"
)

// maxNames bounds a list of names, in bytes.
const maxNames = 400

// What the gateway says to people in rooms.
const (
	wordsNotAllowed = "not passed on: who may write through this gateway is for the person who runs it to say"
	wordsTooFast    = "not passed on: too many lines in a short time"
	wordsTooLong    = "not passed on: the line is too long"
	wordsOverflow   = "not passed on: too much waits for the MUC"
	wordsExpired    = "not passed on: it has waited for too long"
	wordsNotTaken   = "not passed on: the MUC has not taken it"
	wordsPutOff     = "waits: the MUC takes no more lines for the moment"
	wordsPutOffLong = "not passed on: the MUC has put it off for too long"
	wordsSealed     = "has written something encrypted, which cannot be shown here"
)

func wordsBounced(err *stanza.Error) string {
	return "not passed on: the MUC says " + rewrite.Line(err.Error(), maxWords)
}

func wordsDropped(n int) string {
	return fmt.Sprintf("%d lines of the MUC are missing here: too many waited, or for too long", n)
}

func wordsSubject(nick, text string) string {
	by := ""
	if nick != "*" {
		by = " by " + nick
	}
	if text == "" {
		return "the subject was taken away" + by
	}
	return "the subject was set" + by + ": “" + strings.NewReplacer("“", `"`, "”", `"`).Replace(text) + "”"
}

func wordsJoined(muc string, occupants []string) string {
	return "joined with " + muc + "; there: " + joinNames(occupants)
}

// andMore is a list of names, and how many have none on it.
func andMore(names []string, n int) []string {
	if n == 0 {
		return names
	}
	return append(slices.Clip(names), fmt.Sprintf("%d more", n))
}

func wordsGone(muc, why string) string {
	return muc + " cannot be reached (" + why + "); what is said here waits"
}

func wordsBack(muc string) string { return muc + " is there again" }

func wordsOccupants(muc string, names []string, ready bool) string {
	if !ready {
		return muc + " cannot be reached at the moment"
	}
	return "in " + muc + ": " + joinNames(names)
}

func wordsMembers(room string, names []string) string {
	return "on the LAN in " + rewrite.Line(room, maxNames) + ": " + joinNames(names)
}

// wordsLost says why we are not in the MUC.
func wordsLost(ev xmppc2s.RoomLost) string {
	what := map[xmppc2s.RoomEnd]string{
		xmppc2s.RoomGone: "the room does not know us any more", xmppc2s.RoomKicked: "we were kicked", xmppc2s.RoomBanned: "we are banned",
		xmppc2s.RoomMembersOnly: "it is for members only", xmppc2s.RoomPassword: "it wants another password",
		xmppc2s.RoomDestroyed: "the room was destroyed", xmppc2s.RoomShutDown: "its service was shut down",
		xmppc2s.RoomFull: "it is full", xmppc2s.RoomNickTaken: "others have our name", xmppc2s.RoomNotAllowed: "it is not there, or not for us",
		xmppc2s.RoomUnreachable: "its server does not answer",
	}[ev.Why]
	if what == "" {
		what = ev.Why.String()
	}
	if ev.Alternative.String() != "" {
		what += "; it is said to go on at " + rewrite.Line(ev.Alternative.String(), maxWords)
	}
	if ev.Err != nil {
		what += ": " + rewrite.Line(ev.Err.Error(), maxWords)
	}
	return what
}

// joinNames is a list of names for people, or "nobody".
func joinNames(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	size := 0
	for i, name := range names {
		if size += len(name) + 2; size > maxNames {
			return fmt.Sprintf("%s and %d more", strings.Join(names[:i], ", "), len(names)-i)
		}
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return names[0]
}
