package main

import "meshgate/linklocal"

// publishConfig says what of a contact everybody on the LAN can read.
type publishConfig struct {
	Nick    bool `yaml:"nick"`
	First   bool `yaml:"first"`
	Last    bool `yaml:"last"`
	Email   bool `yaml:"email"`
	JID     bool `yaml:"jid"`
	Status  bool `yaml:"status"`
	Msg     bool `yaml:"msg"`
	Icon    bool `yaml:"icon"`
	VC      bool `yaml:"vc"`
	Caps    bool `yaml:"caps"`
	Port    bool `yaml:"port"`
	TXTVers bool `yaml:"txtvers"`
}

// publishDefaults is everything that is useful and not personal.
func publishDefaults() publishConfig {
	return publishConfig{Nick: true, Status: true, Msg: true, Icon: true, Caps: true, Port: true, TXTVers: true}
}

func (p publishConfig) keys() linklocal.PublishKeys {
	return linklocal.PublishKeys{
		Nick: p.Nick, First: p.First, Last: p.Last, Email: p.Email, JID: p.JID, Status: p.Status, Msg: p.Msg,
		Icon: p.Icon, VC: p.VC, Caps: p.Caps, Port: p.Port, TXTVers: p.TXTVers,
	}
}

// contactPublish is what a contact wants to be different: "true", "false" or,
// where it says nothing, "".
type contactPublish struct {
	Nick    string `yaml:"nick" choice:"true false"`
	First   string `yaml:"first" choice:"true false"`
	Last    string `yaml:"last" choice:"true false"`
	Email   string `yaml:"email" choice:"true false"`
	JID     string `yaml:"jid" choice:"true false"`
	Status  string `yaml:"status" choice:"true false"`
	Msg     string `yaml:"msg" choice:"true false"`
	Icon    string `yaml:"icon" choice:"true false"`
	VC      string `yaml:"vc" choice:"true false"`
	Caps    string `yaml:"caps" choice:"true false"`
	Port    string `yaml:"port" choice:"true false"`
	TXTVers string `yaml:"txtvers" choice:"true false"`
}

// over is what may be published of the contact, given what may be of all.
func (c contactPublish) over(p publishConfig) *linklocal.PublishKeys {
	for _, o := range []struct {
		own string
		all *bool
	}{
		{c.Nick, &p.Nick}, {c.First, &p.First}, {c.Last, &p.Last}, {c.Email, &p.Email}, {c.JID, &p.JID},
		{c.Status, &p.Status}, {c.Msg, &p.Msg}, {c.Icon, &p.Icon}, {c.VC, &p.VC}, {c.Caps, &p.Caps},
		{c.Port, &p.Port}, {c.TXTVers, &p.TXTVers},
	} {
		if o.own != "" {
			*o.all = o.own == "true"
		}
	}
	k := p.keys()
	return &k
}
