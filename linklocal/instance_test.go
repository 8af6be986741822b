package linklocal

import "testing"

func TestSlashesOfNamesAndOfResources(t *testing.T) {
	for addr, want := range map[string][2]string{
		"bob@h2": {"bob@h2", ""}, "bob@h2/x/y@z": {"bob@h2", "x/y@z"}, "AC/DC@h2": {"AC/DC@h2", ""}, "a/b/c@h2/x": {"a/b/c@h2", "x"},
		"bob": {"bob", ""}, "bob/x": {"bob", "x"}, "": {}, "/": {}, "@/x": {"@", "x"}, "Dr. J@box (2)/": {"Dr. J@box (2)", ""},
	} {
		if name, resource := SplitAddress(addr); string(name) != want[0] || resource != want[1] {
			t.Errorf("%q is %q with %q", addr, name, resource)
		}
	}
}
