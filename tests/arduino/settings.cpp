/* Tries good and bad settings and texts on a link, and prints the result of each. IDS has ids, in hex. */
#include <Holdfast.h>

#include <algorithm>
#include <string>

/* No server ever answers. */
class Nowhere : public StandinClient {
 public:
  std::string asked;
  int connect(const char *host, uint16_t port) override {
    asked += std::string(asked.empty() ? "" : " ") + host + "|" + std::to_string(port);
    return 0;
  }
};

static uint32_t random_word() { return 7; }

static Nowhere nowhere;
static Holdfast<121, 256, 400, 3> holdfast(nowhere);
static Holdfast<> second(nowhere);
static Holdfast<160, 256, 370, 3> third(nowhere);

static void say(const char *what, bool good, const char *problem) {
  printf("%s: %s\n", what, good ? "yes" : problem ? problem : "no");
}

static void say(const char *what, bool good) {
  say(what, good, holdfast.problem());
}

static bool on_message(const char *, size_t) { return true; }

/* Prints where it connects to, in four attempts. */
static void look(const char *what, bool begun) {
  if (!begun) return say(what, false);
  nowhere.asked.clear();
  while (std::count(nowhere.asked.begin(), nowhere.asked.end(), '|') < 4) {
    holdfast.loop();
    delay(1);
  }
  printf("%s: %s\n", what, nowhere.asked.c_str());
  holdfast.end();
}

void setup() {
  const std::string long_id(65, 'i'), good_id(64, 'i'), long_host(64, 'h'), good_host(63, 'h');
  const std::string hex(64, 'a'), bad_hex(hex.substr(1) + "g");
  say("before begin", holdfast.write("text"));
  holdfast.loop();
  say("no random", holdfast.begin("kitchen", "10.0.0.2"));
  holdfast.random(random_word);
  second.random(random_word);
  holdfast.timeout(100);
  say("empty id", holdfast.begin("", "10.0.0.2"));
  say("no id", holdfast.begin(nullptr, "10.0.0.2"));
  say("long id", holdfast.begin(long_id.c_str(), "10.0.0.2"));
  say("id with a tab", holdfast.begin("a\tb", "10.0.0.2"));
  for (char *id = strtok(getenv("IDS"), " "); id; id = strtok(nullptr, " ")) {
    std::string name;
    for (const char *c = id; *c; c += 2) name += static_cast<char>(std::stoi(std::string(c, 2), nullptr, 16));
    say(id, holdfast.begin(name.c_str(), "10.0.0.2"));
  }
  say("no host", holdfast.begin("kitchen", nullptr));
  say("empty host", holdfast.begin("kitchen", ""));
  say("long host", holdfast.begin("kitchen", long_host.c_str()));
  say("second host", holdfast.begin("kitchen", "10.0.0.2", ":1"));
  for (const char *port : { "a:", "a:0", "a:65536", "a:4294967297", "a:99999999999999999999", "a:-1", "a:1x", "[]", "[]:1" }) {
    say(port, holdfast.begin("kitchen", port));
  }
  holdfast.key("abc");
  say("short key", holdfast.begin("kitchen", "10.0.0.2"));
  holdfast.key(bad_hex.c_str());
  say("key with a g", holdfast.begin("kitchen", "10.0.0.2"));
  holdfast.key(hex.c_str());
  holdfast.timeout(99);
  say("short timeout", holdfast.begin("kitchen", "10.0.0.2"));
  holdfast.timeout(100);
  holdfast.forwardSecrecy(true);
  say("forward secrecy, short texts", holdfast.begin("kitchen", "10.0.0.2"));
  holdfast.forwardSecrecy(false);
  third.random(random_word);
  third.key(hex.c_str());
  third.forwardSecrecy(true);
  const bool begun = third.begin("kitchen", "10.0.0.2");
  say("forward secrecy, small inbox", begun, third.problem());
  say("good", holdfast.begin(good_id.c_str(), good_host.c_str()));

  const std::string longest(121, 'x');
  say("empty text", holdfast.write(""));
  say("long text", holdfast.write((longest + "x").c_str()));
  say("newline", holdfast.write("a\nb"));
  say("first byte 2", holdfast.write("\2o"));
  say("first byte 0", holdfast.write("\0x", 2));
  say("first byte 3", holdfast.write("\3o"));
  say("without a link", holdfast.write("text", HOLDFAST_NO_QOS));
  say("room", holdfast.canWrite(121));
  say("longest", holdfast.write(longest.c_str()));
  say("no room", holdfast.write(longest.c_str()));
  say("small one", holdfast.write("a\0b", 3));
  say("window", holdfast.write("c"));
  printf("pending: %u\n", static_cast<unsigned>(holdfast.pending()));
  say("a second link", second.begin("kitchen", "10.0.0.2") && second.write("text"));
  printf("pending: %u and %u\n", static_cast<unsigned>(holdfast.pending()), static_cast<unsigned>(second.pending()));
  holdfast.end();
  say("ended", holdfast.write("text"));

  look("one host", holdfast.begin("kitchen", "one"));
  look("hosts", holdfast.begin("kitchen", "one", "two:1", "[::1]:65535", "fe80::1"));
  holdfast.onMessage(on_message);
  exit(0);
}

void loop() {}
