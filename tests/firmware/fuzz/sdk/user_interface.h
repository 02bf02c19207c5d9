/* The part of the vendor's interface that targets/nonos uses; fuzz_main.c and fuzz_pins.c implement it. */
#ifndef FUZZ_SDK_USER_INTERFACE_H
#define FUZZ_SDK_USER_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

uint16_t system_adc_read(void);
bool system_deep_sleep_instant(uint64_t us);

enum flash_size_map { FLASH_SIZE_8M_MAP_512_512 = 2, FLASH_SIZE_32M_MAP_512_512 = 4 };
enum flash_size_map system_get_flash_size_map(void);
typedef enum {
  SYSTEM_PARTITION_RF_CAL = 4,
  SYSTEM_PARTITION_PHY_DATA,
  SYSTEM_PARTITION_SYSTEM_PARAMETER,
  SYSTEM_PARTITION_CUSTOMER_BEGIN = 100
} partition_type_t;
typedef struct {
  partition_type_t type;
  uint32_t addr, size;
} partition_item_t;
bool system_partition_table_regist(const partition_item_t *table, uint32_t count, uint32_t map);

uint32_t system_get_time(void);
uint32_t system_get_chip_id(void);
uint32_t system_get_free_heap_size(void);
void system_soft_wdt_feed(void);
void system_set_os_print(uint8_t on);
typedef void (*init_done_cb_t)(void);
void system_init_done_cb(init_done_cb_t done);
bool system_rtc_mem_read(uint8_t block, void *to, uint16_t length);
bool system_rtc_mem_write(uint8_t block, const void *from, uint16_t length);

enum rst_reason {
  REASON_DEFAULT_RST,
  REASON_WDT_RST,
  REASON_EXCEPTION_RST,
  REASON_SOFT_WDT_RST,
  REASON_SOFT_RESTART,
  REASON_DEEP_SLEEP_AWAKE,
  REASON_EXT_SYS_RST
};
struct rst_info {
  uint32_t reason, exccause, epc1, epc2, epc3, excvaddr, depc;
};
struct rst_info *system_get_rst_info(void);

typedef struct {
  uint32_t sig, par;
} os_event_t;
typedef void (*os_task_t)(os_event_t *event);
enum { USER_TASK_PRIO_0 };
bool system_os_task(os_task_t task, uint8_t priority, os_event_t *queue, uint8_t length);
bool system_os_post(uint8_t priority, uint32_t signal, uint32_t parameter);

typedef struct {
  void (*function)(void *);
  void *argument;
  uint32_t period;
  bool armed, repeats;
} os_timer_t;
void os_timer_setfn(os_timer_t *timer, void (*function)(void *), void *argument);
void os_timer_arm(os_timer_t *timer, uint32_t ms, bool repeats);
void os_timer_disarm(os_timer_t *timer);
unsigned long os_random(void);
void os_delay_us(uint32_t us);

enum { STATION_MODE = 1, STATION_IF = 0, NONE_SLEEP_T = 0 };
uint8_t wifi_get_opmode_default(void);
bool wifi_set_opmode(uint8_t mode);
bool wifi_set_opmode_current(uint8_t mode);
uint8_t wifi_station_get_auto_connect(void);
bool wifi_station_set_auto_connect(uint8_t on);
bool wifi_set_sleep_type(int type);
bool wifi_station_set_hostname(char *name);
typedef struct {
  int8_t rssi;
  int authmode;
} wifi_fast_scan_threshold_t;
struct station_config {
  uint8_t ssid[32], password[64], channel, bssid_set, bssid[6];
  wifi_fast_scan_threshold_t threshold;
  bool open_and_wep_mode_disable, all_channel_scan;
};
bool wifi_station_set_config_current(struct station_config *config);
bool wifi_station_connect(void);
bool wifi_station_disconnect(void);
struct ip_addr {
  uint32_t addr;
};
struct ip_info {
  struct ip_addr ip, netmask, gw;
};
bool wifi_get_ip_info(uint8_t interface, struct ip_info *info);
bool wifi_set_ip_info(uint8_t interface, struct ip_info *info);
enum dhcp_status { DHCP_STOPPED, DHCP_STARTED };
bool wifi_station_dhcpc_start(void);
bool wifi_station_dhcpc_stop(void);
enum dhcp_status wifi_station_dhcpc_status(void);

enum { WIFI_COUNTRY_POLICY_AUTO, WIFI_COUNTRY_POLICY_MANUAL };
typedef struct {
  char cc[3];
  uint8_t schan, nchan, policy;
} wifi_country_t;
bool wifi_set_country(wifi_country_t *country);

enum {
  EVENT_STAMODE_CONNECTED,
  EVENT_STAMODE_DISCONNECTED,
  EVENT_STAMODE_AUTHMODE_CHANGE,
  EVENT_STAMODE_GOT_IP,
  EVENT_STAMODE_DHCP_TIMEOUT
};
enum {
  REASON_AUTH_EXPIRE = 2,
  REASON_ASSOC_LEAVE = 8,
  REASON_4WAY_HANDSHAKE_TIMEOUT = 15,
  REASON_BEACON_TIMEOUT = 200,
  REASON_NO_AP_FOUND = 201,
  REASON_AUTH_FAIL = 202,
  REASON_HANDSHAKE_TIMEOUT = 204
};
typedef struct {
  uint32_t event;
  union {
    struct {
      uint8_t ssid[32], ssid_len, bssid[6], channel;
    } connected;
    struct {
      uint8_t reason;
    } disconnected;
  } event_info;
} System_Event_t;
void wifi_set_event_handler_cb(void (*handler)(System_Event_t *event));

enum { AUTH_OPEN };
struct bss_info {
  struct {
    struct bss_info *stqe_next;
  } next;
  uint8_t ssid[32], ssid_len;
  int8_t rssi;
  int authmode;
};
#define STAILQ_NEXT(item, field) ((item)->field.stqe_next)
bool wifi_station_scan(void *config, void (*done)(void *result, STATUS status));

#endif
