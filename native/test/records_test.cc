#include "records.h"

#include <gtest/gtest.h>

#include "layout.h"

namespace ipvs {
namespace {

TEST(Layout, TellsSizesAndOffsets) {
  const std::string layout = Layout();
  EXPECT_NE(layout.find("\"ChangeRecord\":{\"size\":76,\"command\":0,\"service\":4,\"settings\":32,"
                        "\"destination\":32}"),
            std::string::npos)
      << layout;
  EXPECT_NE(layout.find("\"InfoRecord\":{\"size\":8,\"version\":0,\"connection_table_size\":4}"),
            std::string::npos);
  EXPECT_EQ(layout.front(), '{');
  EXPECT_EQ(layout.back(), '}');
}

}  // namespace
}  // namespace ipvs
