# Installing the C library. What is installed is put together below target/package first, so that
# `make install` after a build only copies: it needs no cargo then, nor the right to write here.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
CMAKEDIR ?= $(LIBDIR)/cmake/talkws
INSTALL ?= install
STRIP ?= strip

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
MAJOR := $(firstword $(subst ., ,$(VERSION)))
SYSTEM := $(shell uname -s)

# The file itself, the name that programs ask for (bindings/c/build.rs), the name for the linker.
ifeq ($(SYSTEM),Darwin)
    SHARED := libtalkws.$(MAJOR).dylib
    SONAME := libtalkws.$(MAJOR).dylib
    LINKNAME := libtalkws.dylib
    CMAKE_SONAME := @rpath/$(SONAME)
    STRIP_SHARED := -x
else
    SHARED := libtalkws.so.$(VERSION)
    SONAME := libtalkws.so.$(MAJOR)
    LINKNAME := libtalkws.so
    CMAKE_SONAME := $(SONAME)
    STRIP_SHARED := --strip-unneeded
endif

# Of what `rustc --print native-static-libs` lists, what a C compiler does not link by itself. glibc
# before 2.34 keeps threads and the dynamic linker apart.
STATIC_LIBS_Linux := -lpthread -ldl
STATIC_LIBS_FreeBSD := -lpthread -lexecinfo
STATIC_LIBS_NetBSD := -lpthread
STATIC_LIBS_OpenBSD := -lpthread
STATIC_LIBS := $(STATIC_LIBS_$(SYSTEM))

empty :=
space := $(empty) $(empty)

PACKAGE := $(TARGET)/package
PACKAGE_SOURCES := Cargo.toml Cargo.lock include/talkws.h bindings/c/install.mk \
    bindings/c/Cargo.toml bindings/c/build.rs $(wildcard bindings/c/man/*.py) \
    $(shell find src bindings/c/src -name '*.rs')

.PHONY: package
package: $(PACKAGE)/.made

$(PACKAGE)/.made: $(PACKAGE_SOURCES)
	@$(MAKE) --no-print-directory tools
	$(CARGO) build --release -p talkws-c
	@rm -rf $(PACKAGE)
	@mkdir -p $(PACKAGE)/man
	cp $(LIBRARY) $(PACKAGE)/$(SHARED)
	$(STRIP) $(STRIP_SHARED) $(PACKAGE)/$(SHARED)
	cp $(TARGET)/release/libtalkws.a $(PACKAGE)/libtalkws.a
	$(STRIP) -S $(PACKAGE)/libtalkws.a
	$(PYTHON) -B bindings/c/man/pages.py include/talkws.h $(VERSION) $(PACKAGE)/man
	@touch $@

# Fills a template in.
configure = sed \
    -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
    -e 's|@PC_LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|g' \
    -e 's|@PC_INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|g' \
    -e 's|@VERSION@|$(VERSION)|g' -e 's|@MAJOR@|$(MAJOR)|g' \
    -e 's|@SHARED@|$(SHARED)|g' -e 's|@CMAKE_SONAME@|$(CMAKE_SONAME)|g' \
    -e 's|@STATIC_LIBS@|$(STATIC_LIBS)|g' \
    -e 's|@CMAKE_STATIC_LIBS@|$(subst $(space),;,$(patsubst -l%,%,$(STATIC_LIBS)))|g'

.PHONY: install
install: package ## Install the C library; PREFIX, LIBDIR, INCLUDEDIR, MANDIR and DESTDIR say where
	$(INSTALL) -d "$(DESTDIR)$(LIBDIR)" "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(PKGCONFIGDIR)" \
	    "$(DESTDIR)$(CMAKEDIR)" "$(DESTDIR)$(MANDIR)/man3" "$(DESTDIR)$(MANDIR)/man7"
	$(INSTALL) -m 755 $(PACKAGE)/$(SHARED) "$(DESTDIR)$(LIBDIR)/$(SHARED)"
ifeq ($(SYSTEM),Darwin)
	install_name_tool -id "$(LIBDIR)/$(SONAME)" "$(DESTDIR)$(LIBDIR)/$(SHARED)"
else
	ln -sf $(SHARED) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
endif
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/$(LINKNAME)"
	$(INSTALL) -m 644 $(PACKAGE)/libtalkws.a "$(DESTDIR)$(LIBDIR)"
	$(INSTALL) -m 644 include/talkws.h "$(DESTDIR)$(INCLUDEDIR)"
	$(INSTALL) -m 644 $(PACKAGE)/man/*.3 "$(DESTDIR)$(MANDIR)/man3"
	$(INSTALL) -m 644 $(PACKAGE)/man/*.7 "$(DESTDIR)$(MANDIR)/man7"
	@umask 022; set -e; \
	$(configure) bindings/c/pkgconfig/talkws.pc.in >"$(DESTDIR)$(PKGCONFIGDIR)/talkws.pc"; \
	for file in talkwsConfig.cmake talkwsConfigVersion.cmake; do \
	    $(configure) bindings/c/cmake/$$file.in >"$(DESTDIR)$(CMAKEDIR)/$$file"; \
	done

# Directories stay, but for the one that is ours alone: others may have files in them.
.PHONY: uninstall
uninstall: package ## Remove what `make install` with the same PREFIX and DESTDIR put there
	@set -e; \
	for file in $(SHARED) $(SONAME) $(LINKNAME) libtalkws.a; do \
	    rm -f "$(DESTDIR)$(LIBDIR)/$$file"; \
	done; \
	rm -f "$(DESTDIR)$(INCLUDEDIR)/talkws.h" "$(DESTDIR)$(PKGCONFIGDIR)/talkws.pc"; \
	for file in talkwsConfig.cmake talkwsConfigVersion.cmake; do \
	    rm -f "$(DESTDIR)$(CMAKEDIR)/$$file"; \
	done; \
	if [ -d "$(DESTDIR)$(CMAKEDIR)" ]; then rmdir "$(DESTDIR)$(CMAKEDIR)"; fi; \
	for page in $(PACKAGE)/man/*.[37]; do \
	    rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}"; \
	done
