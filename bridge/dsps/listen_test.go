package dsps

import "testing"

func TestListensOnThePortOfTheDocument(t *testing.T) { // DS-01: 5290, or as it is configured
	if c := (ServerConfig{}).withDefaults(); c.Listen != ":5290" || c.Engine.Port != 5290 {
		t.Errorf("at %s, and %d is told", c.Listen, c.Engine.Port)
	}
	if c := (ServerConfig{Engine: Config{Port: 7}}).withDefaults(); c.Listen != ":7" {
		t.Errorf("at %s", c.Listen)
	}
}
