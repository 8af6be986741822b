package main

import (
	"meshgate/bridge"
	"meshgate/internal/icon"
	"meshgate/linklocal"
)

// Values of account.avatar that are no file.
const (
	avatarPeers = "peers"
	avatarOff   = "off"
)

func (c *config) checkAvatar() {
	if _, err := c.avatarImage(); err != nil {
		c.wrong("account.avatar", "%v", err)
	}
}

func (c *config) avatarPolicy() bridge.AvatarPolicy {
	switch c.Account.Avatar {
	case avatarPeers:
		return bridge.AvatarPeers
	case avatarOff:
		return bridge.AvatarOff
	}
	return bridge.AvatarFixed
}

// avatarImage reads the file with the account's picture; nil if there is none.
func (c *config) avatarImage() (*linklocal.Icon, error) {
	if c.avatarPolicy() != bridge.AvatarFixed {
		return nil, nil
	}
	data, err := readCapped(c.resolve(c.Account.Avatar), icon.MaxBytes)
	if err != nil {
		return nil, err
	}
	info, err := icon.Check(data)
	if err != nil {
		return nil, err
	}
	return &linklocal.Icon{Data: data, Type: info.Type}, nil
}
