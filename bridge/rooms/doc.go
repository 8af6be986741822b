// Package rooms joins Clique rooms of the LAN with MUCs of the network.
package rooms
