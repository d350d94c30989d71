{
  'targets': [
    {
      'target_name': 'ipvs',
      'sources': [
        'native/src/addon.cc',
        'native/src/apply.cc',
        'native/src/attributes.cc',
        'native/src/channel.cc',
        'native/src/connections.cc',
        'native/src/conntable.cc',
        'native/src/netns.cc',
        'native/src/outbox.cc',
        'native/src/records.cc',
        'native/src/route.cc',
        'native/src/socket.cc',
        'native/src/transport.cc',
        'native/src/wire_decode.cc',
        'native/src/wire_encode.cc',
      ],
      'dependencies': [
        '<!(node -p "require(\'node-addon-api\').targets"):node_addon_api_except',
      ],
      'defines': [
        'NAPI_VERSION=9',
        'NODE_ADDON_API_DISABLE_DEPRECATED',
        'NODE_ADDON_API_REQUIRE_BASIC_FINALIZERS',
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
      'cflags!': ['-O3'],
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-fno-exceptions'],
      'cflags_cc': [
        '-std=c++20',
        '-O2',
        '-Wall',
        '-Wextra',
        '-fvisibility=hidden',
        '<!@(pkg-config --cflags libnl-genl-3.0)',
      ],
      'libraries': ['<!@(pkg-config --libs libnl-genl-3.0)'],
    },
  ],
}
