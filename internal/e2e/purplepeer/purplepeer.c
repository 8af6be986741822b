/* purplepeer - headless UI for libpurple's Bonjour (XEP-0174) protocol plugin, for end-to-end tests.
 * The protocol code is Debian's libpurple0 (libbonjour.so) untouched; this file is only a "UI".
 * Links against libpurple (GPL-2+): a test tool, not part of a product.
 *
 * usage: purplepeer [-d] [-p port] [-f First] [-l Last] [-j jid] [-e email] [-i icon.png] [-m "status msg"] username
 * stdin commands, their words separated by tabs (or, for a person at a terminal, by single spaces):
 *   list                         one line per buddy
 *   msg BUDDY TEXT...            send IM (text is HTML)
 *   close BUDDY                  close the conversation (ends the XML stream)
 *   status available|away [MSG]  set presence
 *   icon FILE | icon -           set / clear avatar
 *   send BUDDY FILE              offer a file
 *   idle SECONDS                 set idle time
 *   quit                         disconnect cleanly, exit
 * stdout: one event a line, tab separated:
 *   READY jid | IM from text | SENT | ON buddy alias | OFF buddy | STATUS buddy id msg | ICON buddy hash len |
 *   SYS conv text | XFER-OFFER from name size | XFER-DONE peer path bytes | XFER-CANCEL name | TYPING buddy | ERROR text
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>
#include <signal.h>
#include <execinfo.h>
#include <purple.h>

#define RD (G_IO_IN | G_IO_HUP | G_IO_ERR)
#define WR (G_IO_OUT | G_IO_HUP | G_IO_ERR | G_IO_NVAL)
typedef struct { PurpleInputFunction f; guint r; gpointer d; } IoC;
static gboolean io_cb(GIOChannel *s, GIOCondition c, gpointer d) {
  IoC *x = d; PurpleInputCondition pc = 0;
  if (c & RD) pc |= PURPLE_INPUT_READ;
  if (c & WR) pc |= PURPLE_INPUT_WRITE;
  x->f(x->d, g_io_channel_unix_get_fd(s), pc);
  return TRUE;
}
static guint in_add(gint fd, PurpleInputCondition c, PurpleInputFunction f, gpointer d) {
  IoC *x = g_new0(IoC, 1); GIOCondition gc = 0; GIOChannel *ch; guint r;
  x->f = f; x->d = d;
  if (c & PURPLE_INPUT_READ) gc |= RD;
  if (c & PURPLE_INPUT_WRITE) gc |= WR;
  ch = g_io_channel_unix_new(fd);
  r = g_io_add_watch_full(ch, G_PRIORITY_DEFAULT, gc, io_cb, x, g_free);
  g_io_channel_unref(ch);
  return r;
}
static PurpleEventLoopUiOps eops = { g_timeout_add, g_source_remove, in_add, g_source_remove, NULL, g_timeout_add_seconds, NULL, NULL, NULL };

static PurpleAccount *me;
static GMainLoop *loop;
static const char *icon0;

/* One event, one line: line ends inside it become spaces. */
static void out(const char *fmt, ...) {
  va_list a; char *s, *p;
  va_start(a, fmt); s = g_strdup_vprintf(fmt, a); va_end(a);
  for (p = s; *p; p++) if (*p == '\n' || *p == '\r') *p = ' ';
  printf("%s\n", s); fflush(stdout);
  g_free(s);
}
static const char *N(const char *s) { return s ? s : ""; }

static void write_conv(PurpleConversation *c, const char *name, const char *alias, const char *msg, PurpleMessageFlags fl, time_t t) {
  if (fl & PURPLE_MESSAGE_RECV) out("IM\t%s\t%s", N(name), msg);
  else if (fl & PURPLE_MESSAGE_SEND) out("SENT\t%s\t%s", purple_conversation_get_name(c), msg);
  else out("SYS\t%s\t%s", purple_conversation_get_name(c), msg);
}
static PurpleConversationUiOps cops = { .write_conv = write_conv };
static void *notify_message(PurpleNotifyMsgType t, const char *title, const char *p, const char *s) { out("ERROR\t%s: %s %s", N(title), N(p), N(s)); return NULL; }
static void dbg_print(PurpleDebugLevel l, const char *cat, const char *s) { fprintf(stderr, "%s: %s", cat ? cat : "", s); }
static gboolean dbg_on(PurpleDebugLevel l, const char *cat) { return cat && !strcmp(cat, "bonjour"); }
static PurpleDebugUiOps dops = { .print = dbg_print, .is_enabled = dbg_on };
static PurpleNotifyUiOps nops = { .notify_message = notify_message };

static void on_on(PurpleBuddy *b, gpointer d) { out("ON\t%s\t%s", purple_buddy_get_name(b), N(purple_buddy_get_alias(b))); }
static void on_off(PurpleBuddy *b, gpointer d) { out("OFF\t%s", purple_buddy_get_name(b)); }
static void on_removed(PurpleBuddy *b, gpointer d) { out("REMOVED\t%s", purple_buddy_get_name(b)); }
static void on_status(PurpleBuddy *b, PurpleStatus *o, PurpleStatus *n, gpointer d) {
  out("STATUS\t%s\t%s\t%s", purple_buddy_get_name(b), purple_status_get_id(n), N(purple_status_get_attr_string(n, "message")));
}
static void on_icon(PurpleBuddy *b, gpointer d) {
  PurpleBuddyIcon *i = purple_buddy_get_icon(b); size_t len = 0;
  if (i) purple_buddy_icon_get_data(i, &len);
  out("ICON\t%s\t%s\t%lu", purple_buddy_get_name(b), i ? N(purple_buddy_icon_get_checksum(i)) : "-", (unsigned long)len);
}
static void on_xreq(PurpleXfer *x, gpointer d) {
  char *p = g_strdup_printf("%s/%s", g_get_tmp_dir(), purple_xfer_get_filename(x));
  char *q = g_strdup_printf("%s.recv", p);
  out("XFER-OFFER\t%s\t%s\t%lu", purple_xfer_get_remote_user(x), purple_xfer_get_filename(x), (unsigned long)purple_xfer_get_size(x));
  purple_xfer_request_accepted(x, q);
  g_free(p); g_free(q);
}
/* The signal comes before libpurple has written out and closed the file: tell it from the main loop. */
static gboolean out_later(gpointer line) { out("%s", (char *)line); g_free(line); return FALSE; }
static void on_xdone(PurpleXfer *x, gpointer d) {
  g_idle_add(out_later, g_strdup_printf("XFER-DONE\t%s\t%s\t%lu", purple_xfer_get_remote_user(x), N(purple_xfer_get_local_filename(x)), (unsigned long)purple_xfer_get_bytes_sent(x)));
}
static void on_xcancel(PurpleXfer *x, gpointer d) { out("XFER-CANCEL\t%s\t%s", purple_xfer_get_remote_user(x), N(purple_xfer_get_filename(x))); }
static void on_typing(PurpleAccount *a, const char *n, gpointer d) { out("TYPING\t%s", n); }
static void on_signed_on(PurpleConnection *gc, gpointer d) { out("READY\t%s", purple_account_get_username(purple_connection_get_account(gc))); }
static void on_conn_err(PurpleConnection *gc, PurpleConnectionError e, const char *desc, gpointer d) { out("ERROR\tconnection: %s", desc); }

static void set_icon(const char *file) {
  gchar *data = NULL; gsize len = 0;
  if (file && strcmp(file, "-")) {
    if (!g_file_get_contents(file, &data, &len, NULL)) { out("ERROR\tcannot read %s", file); return; }
    purple_buddy_icons_set_account_icon(me, (guchar *)data, len);
  } else purple_buddy_icons_set_account_icon(me, NULL, 0);
}

/* A crash inside libpurple says where it was. */
static void on_crash(int sig) {
  void *at[40];
  backtrace_symbols_fd(at, backtrace(at, 40), 2);
  signal(sig, SIG_DFL); raise(sig);
}

static gboolean quit_cb(gpointer d) { g_main_loop_quit(loop); return FALSE; }

static gboolean on_stdin(GIOChannel *ch, GIOCondition c, gpointer d) {
  gchar *line = NULL; gsize n = 0;
  GIOStatus st = g_io_channel_read_line(ch, &line, NULL, &n, NULL);
  if (st == G_IO_STATUS_EOF) return FALSE;               /* keep running without stdin */
  if (st != G_IO_STATUS_NORMAL || !line) return TRUE;
  line[n] = 0;
  gchar **v = g_strsplit(line, strchr(line, '\t') ? "\t" : " ", 3);
  if (!v[0]) goto done;
  if (!strcmp(v[0], "list")) {
    GSList *l = purple_find_buddies(me, NULL), *i;
    for (i = l; i; i = i->next) {
      PurpleBuddy *b = i->data; PurpleStatus *s = purple_presence_get_active_status(purple_buddy_get_presence(b));
      PurpleBuddyIcon *ic = purple_buddy_get_icon(b); size_t len = 0; if (ic) purple_buddy_icon_get_data(ic, &len);
      out("BUDDY\t%s\t%s\t%s\t%s\ticon=%lu", purple_buddy_get_name(b), N(purple_buddy_get_alias(b)), purple_status_get_id(s), N(purple_status_get_attr_string(s, "message")), (unsigned long)len);
    }
    out("LIST-END\t%d", g_slist_length(l)); g_slist_free(l);
  } else if (!strcmp(v[0], "msg") && v[1] && v[2]) {
    PurpleConversation *cv = purple_find_conversation_with_account(PURPLE_CONV_TYPE_IM, v[1], me);
    if (!cv) cv = purple_conversation_new(PURPLE_CONV_TYPE_IM, me, v[1]);
    purple_conv_im_send(PURPLE_CONV_IM(cv), v[2]);
  } else if (!strcmp(v[0], "close") && v[1]) {
    PurpleConversation *cv = purple_find_conversation_with_account(PURPLE_CONV_TYPE_IM, v[1], me);
    if (cv) purple_conversation_destroy(cv);
  } else if (!strcmp(v[0], "status") && v[1]) {
    purple_account_set_status(me, v[1], TRUE, v[2] ? "message" : NULL, v[2], NULL);
  } else if (!strcmp(v[0], "idle") && v[1]) {
    purple_presence_set_idle(purple_account_get_presence(me), atoi(v[1]) > 0, time(NULL) - atoi(v[1]));
  } else if (!strcmp(v[0], "icon") && v[1]) set_icon(v[1]);
  else if (!strcmp(v[0], "send") && v[1] && v[2]) serv_send_file(purple_account_get_connection(me), v[1], v[2]);
  else if (!strcmp(v[0], "quit")) { purple_account_set_enabled(me, "purplepeer", FALSE); g_timeout_add(300, quit_cb, NULL); }
  else out("ERROR\tunknown command %s", v[0]);
done:
  g_strfreev(v); g_free(line);
  return TRUE;
}

int main(int argc, char **argv) {
  int o, dbg = 0, port = 5298; const char *f = NULL, *l = NULL, *j = NULL, *e = NULL, *m = NULL;
  while ((o = getopt(argc, argv, "dp:f:l:j:e:i:m:")) != -1) switch (o) {
    case 'd': dbg = 1; break; case 'p': port = atoi(optarg); break; case 'f': f = optarg; break; case 'l': l = optarg; break;
    case 'j': j = optarg; break; case 'e': e = optarg; break; case 'i': icon0 = optarg; break; case 'm': m = optarg; break; default: return 2; }
  if (optind >= argc) return 2;
  signal(SIGSEGV, on_crash); signal(SIGABRT, on_crash);
  signal(SIGPIPE, SIG_IGN); signal(SIGCHLD, SIG_IGN);
  char *dir = g_strdup_printf("%s/purple-%s", g_get_home_dir(), argv[optind]);
  purple_util_set_user_dir(dir);
  purple_debug_set_enabled(FALSE);
  if (dbg) purple_debug_set_ui_ops(&dops);
  purple_eventloop_set_ui_ops(&eops);
  purple_conversations_set_ui_ops(&cops);
  purple_notify_set_ui_ops(&nops);
  if (!purple_core_init("purplepeer")) { fprintf(stderr, "libpurple init failed\n"); return 1; }
  purple_set_blist(purple_blist_new());
  purple_prefs_load();
  purple_prefs_set_string("/purple/away/idle_reporting", "none");
  purple_prefs_set_bool("/purple/away/away_when_idle", FALSE);
  me = purple_account_new(argv[optind], "prpl-bonjour");
  purple_accounts_add(me);
  purple_account_set_int(me, "port", port);
  if (f) purple_account_set_string(me, "first", f);
  if (l) purple_account_set_string(me, "last", l);
  if (j) purple_account_set_string(me, "jid", j);
  if (e) purple_account_set_string(me, "email", e);
  static int h; void *bl = purple_blist_get_handle(), *xf = purple_xfers_get_handle(), *cn = purple_connections_get_handle();
  purple_signal_connect(bl, "buddy-signed-on", &h, PURPLE_CALLBACK(on_on), NULL);
  purple_signal_connect(bl, "buddy-signed-off", &h, PURPLE_CALLBACK(on_off), NULL);
  purple_signal_connect(bl, "buddy-removed", &h, PURPLE_CALLBACK(on_removed), NULL);
  purple_signal_connect(bl, "buddy-status-changed", &h, PURPLE_CALLBACK(on_status), NULL);
  purple_signal_connect(bl, "buddy-icon-changed", &h, PURPLE_CALLBACK(on_icon), NULL);
  purple_signal_connect(xf, "file-recv-request", &h, PURPLE_CALLBACK(on_xreq), NULL);
  purple_signal_connect(xf, "file-recv-complete", &h, PURPLE_CALLBACK(on_xdone), NULL);
  purple_signal_connect(xf, "file-send-complete", &h, PURPLE_CALLBACK(on_xdone), NULL);
  purple_signal_connect(xf, "file-recv-cancel", &h, PURPLE_CALLBACK(on_xcancel), NULL);
  purple_signal_connect(xf, "file-send-cancel", &h, PURPLE_CALLBACK(on_xcancel), NULL);
  purple_signal_connect(cn, "signed-on", &h, PURPLE_CALLBACK(on_signed_on), NULL);
  purple_signal_connect(cn, "connection-error", &h, PURPLE_CALLBACK(on_conn_err), NULL);
  purple_signal_connect(purple_conversations_get_handle(), "buddy-typing", &h, PURPLE_CALLBACK(on_typing), NULL);
  if (icon0) set_icon(icon0);
  PurpleSavedStatus *ss = purple_savedstatus_new(NULL, PURPLE_STATUS_AVAILABLE);
  if (m) purple_savedstatus_set_message(ss, m);
  purple_savedstatus_activate(ss); /* reaches enabled accounts only, and ours is not yet */
  if (m) purple_account_set_status(me, "available", TRUE, "message", m, NULL);
  purple_account_set_enabled(me, "purplepeer", TRUE);
  GIOChannel *ch = g_io_channel_unix_new(0);
  g_io_add_watch(ch, G_IO_IN | G_IO_HUP, on_stdin, NULL);
  loop = g_main_loop_new(NULL, FALSE);
  g_main_loop_run(loop);
  purple_core_quit();
  out("BYE");
  return 0;
}
