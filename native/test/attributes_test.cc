#include "attributes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "replies.h"

namespace ipvs {
namespace {

TEST(AttributeReader, ReadsWhatIsThere) {
  const Attributes attributes = Attributes()
                                    .U8(1, 7)
                                    .U16(2, 0x1234)
                                    .U32(3, 99)
                                    .U64(4, uint64_t{1} << 40)
                                    .Text(5, "wlc")
                                    .Nest(6, Attributes().U32(1, 5));
  AttributeReader reader(attributes.bytes());
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.U8(), 7);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.NetworkU16(), 0x3412);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.Counter(), 99u);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.Counter(), uint64_t{1} << 40);
  ASSERT_TRUE(reader.Next());
  char text[16];
  reader.Text(text);
  EXPECT_STREQ(text, "wlc");
  ASSERT_TRUE(reader.Next());
  uint32_t inner = 0;
  reader.Nested([&](AttributeReader& attribute) { inner = attribute.U32(); });
  EXPECT_EQ(inner, 5u);
  EXPECT_FALSE(reader.Next());
  EXPECT_TRUE(reader.ok());
}

TEST(AttributeReader, MasksTheFlagsOfTypes) {
  const Attributes attributes = Attributes().U32(0x8000 | 0x4000 | 3, 1);
  AttributeReader reader(attributes.bytes());
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.type(), 3);
}

TEST(AttributeReader, StaysFailedAfterAShortValue) {
  const Attributes attributes = Attributes().U16(1, 5).U32(2, 6);
  AttributeReader reader(attributes.bytes());
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.U32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_FALSE(reader.Next());
}

TEST(AttributeReader, FailsWhenAnInnerAttributeMakesNoSense) {
  const Attributes attributes = Attributes().Nest(1, Attributes().U16(1, 5));
  AttributeReader reader(attributes.bytes());
  ASSERT_TRUE(reader.Next());
  reader.Nested([](AttributeReader& attribute) { (void)attribute.U32(); });
  EXPECT_FALSE(reader.ok());
}

TEST(AttributeReader, RefusesLengthsThatLie) {
  std::vector<uint8_t> bytes = Attributes().U32(1, 5).bytes();
  for (const int length : {0, 3, 9, 255}) {
    bytes[0] = static_cast<uint8_t>(length);
    AttributeReader reader(bytes);
    EXPECT_FALSE(reader.Next());
    EXPECT_FALSE(reader.ok()) << length;
  }
  AttributeReader stub(Bytes(bytes).first(3));
  EXPECT_FALSE(stub.Next());
  EXPECT_FALSE(stub.ok());
}

TEST(AttributeReader, AcceptsALastAttributeWithoutPadding) {
  const std::vector<uint8_t> bytes = Attributes().U8(1, 5).bytes();
  AttributeReader reader(Bytes(bytes).first(5));
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.U8(), 5);
  EXPECT_FALSE(reader.Next());
  EXPECT_TRUE(reader.ok());
}

TEST(AttributeReader, CutsTextAtFifteenCharactersOrTheFirstNul) {
  char text[16];
  const Attributes attributes =
      Attributes().Text(1, std::string(40, 'x')).Raw(1, "ab\0cd", 5).Raw(1, "", 0);
  AttributeReader reader(attributes.bytes());
  ASSERT_TRUE(reader.Next());
  reader.Text(text);
  EXPECT_EQ(std::string(text), std::string(15, 'x'));
  ASSERT_TRUE(reader.Next());
  reader.Text(text);
  EXPECT_STREQ(text, "ab");
  ASSERT_TRUE(reader.Next());
  reader.Text(text);
  EXPECT_STREQ(text, "");
  EXPECT_TRUE(reader.ok());
}

TEST(AttributeReader, TakesAddressesOfFourOrSixteenBytes) {
  const uint8_t bytes[16] = {1, 2, 3, 4, 5};
  for (const size_t size : {4, 16}) {
    const Attributes attributes = Attributes().Raw(1, bytes, size);
    AttributeReader reader(attributes.bytes());
    ASSERT_TRUE(reader.Next());
    uint8_t address[16];
    EXPECT_EQ(reader.Address(address), size);
    EXPECT_EQ(address[4], size == 4 ? 0 : 5);
  }
  const Attributes attributes = Attributes().Raw(1, bytes, 8);
  AttributeReader reader(attributes.bytes());
  ASSERT_TRUE(reader.Next());
  uint8_t address[16];
  EXPECT_EQ(reader.Address(address), 0u);
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace ipvs
